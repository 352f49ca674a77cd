"""Runs claims and keeps their verdicts: one sealed file per claim, written as it comes.

    results/claims/<budget>/<name>.json    claim, verdict, and the stamp of the code that gave it
    paper/data/claims/<name>.json          the same without the stamp: what is committed, of the full budget
    .../environment.json                   machine, versions and seconds, outside every digest

A verdict whose stamp still fits is not judged again, so an interrupted run goes on where it was. A claim that raises
has no verdict; the others go on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from experiments import provenance, runner
from experiments import store as files
from experiments.runner import Call
from experiments.store import StoreError
from experiments.verdict import KINDS, PACKAGE, Verdict
from toolkit import catalog

PUBLISHED = provenance.PROJECT / "paper" / "data" / "claims"
ENVIRONMENT = "environment.json"


@dataclass
class Docket:
    """The verdicts of one budget in a results folder."""

    folder: Path
    budget: str
    again: bool = False
    failures: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, results: Path, budget: str, *, again: bool = False) -> Docket:
        """Return the docket of `results/claims/<budget>`."""
        return cls(results / "claims" / budget, budget, again)

    def pending(self, names: Sequence[str]) -> list[str]:
        """Return the claims without a verdict of the present code, the kinds that take longest first."""
        due = [name for name in names if self.again or self.load(name) is None]
        return sorted(due, key=lambda name: (-KINDS.index(describe(name)["kind"]), name))

    def load(self, name: str) -> dict[str, Any] | None:
        """Return a stored body, or None where it is missing, damaged or of other code."""
        try:
            body = files.unsealed(self.folder / f"{name}.json")
        except StoreError:
            return None
        return body if body["stamp"] == stamp(name) else None

    def bodies(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the stored bodies of those claims that have one."""
        found = (self.load(name) for name in names)
        return [body for body in found if body is not None]

    def judge(self, names: Sequence[str], executor: Executor, *, window: int, done: Callable[[str, str], None]) -> None:
        """Judge claims and store each verdict as it comes; what raised is in `failures`.

        Args:
            names: Claims.
            executor: Where the checks run.
            window: How many are in flight.
            done: Told each claim's name and its verdict, or "raised".
        """
        seconds: dict[str, float] = {}

        def finish(name: str, result: dict[str, Any]) -> None:
            if result["status"] != "done":
                self.failures.append(f"{name}: {result['why']}")
                done(name, "raised")
                return
            body = {"claim": describe(name), "budget": self.budget, "verdict": result["verdict"], "stamp": stamp(name)}
            files.write(self.folder / f"{name}.json", files.sealed(body))
            seconds[name] = round(result["seconds"], 2)
            done(name, result["verdict"]["verdict"])

        calls = [Call(name, judge_claim, (name, self.budget)) for name in names]
        try:
            runner.execute(calls, executor, window=window, done=finish)
        finally:
            self._note(seconds)

    def _note(self, seconds: dict[str, float]) -> None:
        """Record machine and times beside the verdicts."""
        if seconds:
            path = self.folder / ENVIRONMENT
            before = read_environment(path).get("seconds", {})
            now = {**provenance.environment("cpu"), "seconds": {**before, **seconds}}
            files.write(path, files.to_json(now))

    def publish(self, names: Sequence[str], folder: Path = PUBLISHED) -> list[Path]:
        """Write the verdicts of `names` into the committed folder, and remove those of claims that are gone.

        Raises:
            ValueError: If one of them has no verdict of the present code, or the budget is not the full one.
        """
        if self.budget != "full":
            raise ValueError(f"--publish: expected --budget full, got {self.budget}; smoke verdicts rest on few seeds")
        missing = [name for name in names if self.load(name) is None]
        if missing:
            raise ValueError(f"--publish: expected a verdict of every claim, got none of {', '.join(missing)}")
        written = []
        for body in self.bodies(names):
            path = folder / f"{body['claim']['name']}.json"
            files.write(path, files.sealed({key: value for key, value in body.items() if key != "stamp"}))
            written.append(path)
        for path in folder.glob("*.json"):
            if path.name != ENVIRONMENT and path.stem not in catalog.names(PACKAGE):
                path.unlink()
        files.write(folder / ENVIRONMENT, files.to_json(read_environment(self.folder / ENVIRONMENT)))
        return written


def read_environment(path: Path) -> dict[str, Any]:
    """Return what was recorded beside verdicts, or nothing."""
    return json.loads(files.read(path)) if path.is_file() else {}


def judge_claim(name: str, budget: str) -> dict[str, Any]:
    """Return one claim's verdict and the seconds it took; runs in a worker."""
    import torch

    torch.set_num_threads(1)  # numbers depend on it
    began = time.monotonic()
    verdict = catalog.load(PACKAGE, name).check(budget)
    if not isinstance(verdict, Verdict):
        raise TypeError(f"{name}: expected check to return a Verdict, got {type(verdict).__name__}")
    return {"verdict": verdict.as_json(), "seconds": time.monotonic() - began}


def describe(name: str) -> dict[str, str]:
    """Return what a claim's file says of itself, without running it.

    Raises:
        ValueError: If a literal of the contract is missing, or the kind is none of `KINDS`.
    """
    component = catalog.describe_one(PACKAGE, name)
    flags = {"statement": "", "kind": "", **component.flags}
    if component.broken or not component.source or not flags["statement"] or flags["kind"] not in KINDS:
        reason = component.broken or f"expected LABEL, SOURCE, STATEMENT and KIND, one of {', '.join(KINDS)}"
        raise ValueError(f"{component.path.name}: {reason}")
    return {
        "name": name,
        "label": component.label,
        "source": component.source,
        "statement": flags["statement"],
        "kind": flags["kind"],
    }


def stamp(name: str) -> dict[str, str]:
    """Return what a stored verdict depends on besides its budget: code and torch."""
    shared = sorted(catalog.folder(PACKAGE).glob("_*.py"))
    sources = [catalog.find(PACKAGE, name), *shared, Path(__file__).parent / "verdict.py"]
    code = b"\0".join(path.read_bytes() for path in sources) + provenance.science_code().encode()
    return {"code": files.digest(code)[:16], "torch": provenance.versions()["torch"]}


def table(bodies: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return verdicts as one row per number: what the claim is, its verdict, and the number with its interval."""
    rows = [
        {
            "claim": body["claim"]["name"],
            **{key: body["claim"][key] for key in ("kind", "label", "source", "statement")},
            **{key: body["verdict"][key] for key in ("verdict", "why", "corrected")},
            "budget": body["budget"],
            "number": number,
            **measured,
        }
        for body in bodies
        for number, measured in body["verdict"]["numbers"].items()
    ]
    return pd.DataFrame(rows)


def published(folder: Path = PUBLISHED) -> pd.DataFrame:
    """Return the committed verdicts, one row per number; empty where none are.

    Raises:
        StoreError: If a file is damaged.
    """
    paths = sorted(path for path in folder.glob("*.json") if path.name != ENVIRONMENT)
    return table([files.unsealed(path) for path in paths])
