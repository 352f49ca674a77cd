"""Runs claims and keeps their verdicts: one sealed file per claim, written as it comes.

    results/claims/<budget>/<name>.json        claim, verdict, and the stamp of the code that gave it
    results/claims/<budget>/environment.json   machine, versions and seconds, outside every digest

A verdict whose stamp still fits is not judged again, so an interrupted run goes on where it was. A claim that raises
has no verdict; the others go on. What is committed is written by `experiments.verdicts.published`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store import disk, manifest, seals
from checkerscope.experiments.store.seals import to_json
from checkerscope.experiments.study import provenance, source_code
from checkerscope.experiments.verdicts.contract import KINDS, PACKAGE, Verdict
from checkerscope.experiments.workers import scheduler
from checkerscope.experiments.workers.scheduler import Call
from checkerscope.toolkit import catalog

ENVIRONMENT = "environment.json"
#: What is recorded of the machine, per claim.
BESIDE = ("time", "python", "torch", "processor", "cpu_capability")


@dataclass
class VerdictStore:
    """The verdicts of one budget in a results folder."""

    folder: Path
    budget: str
    again: bool = False
    failures: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, results: Path, budget: str, *, again: bool = False) -> VerdictStore:
        """Return the verdicts of `results/claims/<budget>`."""
        return cls(results / "claims" / budget, budget, again)

    def pending(self, names: Sequence[str]) -> list[str]:
        """Return the claims without a verdict of the present code, the kinds that take longest first."""
        due = [name for name in names if self.again or self.load(name) is None]
        return sorted(due, key=lambda name: (-KINDS.index(describe(name)["kind"]), name))

    def load(self, name: str) -> dict[str, Any] | None:
        """Return a stored body, or None where it is missing, damaged or of other code."""
        try:
            body = manifest.unsealed(self.folder / f"{name}.json")
        except StoreError:
            return None
        # what the file says of itself is part of its code, and so of the stamp
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
            done: Called with each claim's name and its verdict, or "raised".
        """

        def finish(name: str, result: dict[str, Any]) -> None:
            if result["status"] != "done":
                self.failures.append(f"{name}: {result['why']}")
                done(name, "raised")
                return
            body = {"claim": describe(name), "budget": self.budget, "verdict": result["verdict"], "stamp": stamp(name)}
            disk.write(self.folder / f"{name}.json", seals.sealed(body))
            self._note(name, result["seconds"])
            done(name, result["verdict"]["verdict"])

        calls = [Call(name, judge_claim, (name, self.budget)) for name in names]
        scheduler.execute(calls, executor, window=window, done=finish)

    def _note(self, name: str, seconds: float) -> None:
        """Record machine and time beside a verdict."""
        now = provenance.environment("cpu")
        entry = {"seconds": round(seconds, 2), "code": stamp(name)["code"], **{key: now[key] for key in BESIDE}}
        disk.write(self.folder / ENVIRONMENT, to_json({**self.environment(), name: entry}))

    def environment(self) -> dict[str, Any]:
        """Return, by claim, CPU seconds, code, time, versions and processor of its judging."""
        return read_environment(self.folder / ENVIRONMENT)


def read_environment(path: Path) -> dict[str, Any]:
    """Return what was recorded beside verdicts, or nothing: no number depends on it."""
    try:
        found = json.loads(manifest.read(path)) if path.is_file() else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def judge_claim(name: str, budget: str) -> dict[str, Any]:
    """Return one claim's verdict and the seconds it took; runs in a worker."""
    import torch

    torch.set_num_threads(1)  # numbers depend on it
    began = time.process_time()
    verdict = catalog.load(PACKAGE, name).check(budget)
    if not isinstance(verdict, Verdict):
        raise TypeError(f"{name}: expected check to return a Verdict, got {type(verdict).__name__}")
    return {"verdict": verdict.as_json(), "seconds": time.process_time() - began}


def describe(name: str) -> dict[str, str]:
    """Return what a claim's file says of itself, without running it.

    Raises:
        ValueError: If a literal of the contract is missing, or the kind is none of `KINDS`.
    """
    component = catalog.describe_one(PACKAGE, name)
    flags = {"statement": "", "kind": "", "their_setting": "", "our_setting": "", **component.flags}
    if component.broken or not component.source or not flags["statement"] or flags["kind"] not in KINDS:
        reason = component.broken or f"expected LABEL, SOURCE, STATEMENT and KIND, one of {', '.join(KINDS)}"
        raise ValueError(f"{component.path.name}: {reason}")
    if flags["kind"] == "landmark" and not (flags["their_setting"] and flags["our_setting"]):
        raise ValueError(f"{component.path.name}: expected THEIR_SETTING and OUR_SETTING, the source's and this one's")
    said = {key: flags[key] for key in ("kind", "statement", "their_setting", "our_setting")}
    return {"name": name, "label": component.label, "source": component.source, **said}


def stamp(name: str) -> dict[str, str]:
    """Return what a stored verdict depends on besides its budget: its file with all that it imports, and torch."""
    code = source_code.code_of(catalog.module_name(PACKAGE, name), "checkerscope.experiments.verdicts.contract")
    return {"code": code, "torch": provenance.versions()["torch"]}
