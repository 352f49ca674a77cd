"""The committed verdicts: what a full run of the claims found, as tidy tables that the paper is made from.

paper/data/claims/verdicts.csv       one row per claim
paper/data/claims/measured.csv       one row per number: value, unit, 95 % interval, seeds or cases
paper/data/claims/pictured.csv       one row per number that a claim puts into its picture
paper/data/claims/environment.json   by claim: CPU seconds, code, versions, processor; outside the digests
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from checkerscope.analysis.records import Records
from checkerscope.experiments.reporting import publish as publishing
from checkerscope.experiments.store import disk
from checkerscope.experiments.store.records import load_records
from checkerscope.experiments.store.seals import to_json
from checkerscope.experiments.study import source_code
from checkerscope.experiments.verdicts import page as claims_page
from checkerscope.experiments.verdicts.contract import KINDS, PACKAGE
from checkerscope.experiments.verdicts.judging import ENVIRONMENT, VerdictStore, read_environment
from checkerscope.experiments.verdicts.pictured import pictured
from checkerscope.toolkit import catalog

STUDY = "claims"
QUESTION = "Which statements of the founding article and of the field's landmark papers hold when they are run?"
PUBLISHED = source_code.PROJECT / "paper" / "data" / STUDY
PAGE = source_code.PROJECT / "docs" / "claims.md"
VERDICT_COLUMNS = ("claim", "kind", "label", "source", "statement", "their_setting", "our_setting")
JUDGED_COLUMNS = ("verdict", "key", "why", "corrected")


def records(bodies: Iterable[dict[str, Any]]) -> Records:
    """Return verdicts as tables: `verdicts` by claim, `measured` by number, `pictured` as the claims declare."""
    ordered = sorted(bodies, key=lambda body: (KINDS.index(body["claim"]["kind"]), body["claim"]["name"]))
    verdicts = [
        {**{key: body["claim"]["name" if key == "claim" else key] for key in VERDICT_COLUMNS},
         **{key: body["verdict"][key] for key in JUDGED_COLUMNS}, "budget": body["budget"]}
        for body in ordered
    ]  # fmt: skip
    measured = [
        {"claim": body["claim"]["name"], "number": name, **number}
        for body in ordered
        for name, number in body["verdict"]["numbers"].items()
    ]
    return _records(pd.DataFrame(verdicts), pd.DataFrame(measured))


def _records(verdicts: pd.DataFrame, measured: pd.DataFrame) -> Records:
    tables = {"verdicts": verdicts, "measured": measured, "pictured": pictured(measured)}
    return Records(tables=tables, study=STUDY, question=QUESTION)


def load(folder: Path = PUBLISHED) -> Records | None:
    """Return the committed verdicts; None where there are none.

    Raises:
        StoreError: If a file is damaged.
    """
    if not (folder / "manifest.json").is_file():
        return None
    found = load_records(folder)
    verdicts = found.tables["verdicts"].astype(object)  # a column without a word in it is read as numbers
    tables = {**found.tables, "verdicts": verdicts.where(verdicts.notna(), "")}
    return Records(tables=tables, study=found.study, question=found.question)


def publish(verdicts: VerdictStore, names: Sequence[str], folder: Path = PUBLISHED, page: Path = PAGE) -> list[Path]:
    """Write the verdicts of `names` into the committed folder, beside those of other claims that still exist.

    Raises:
        ValueError: If one of them has no verdict of the present code, or the budget is not the full one.
    """
    if verdicts.budget != "full":
        raise ValueError(f"--publish: expected --budget full, got {verdicts.budget}; smoke verdicts rest on few seeds")
    missing = [name for name in names if verdicts.load(name) is None]
    if missing:
        raise ValueError(f"--publish: expected a verdict of every claim, got none of {', '.join(missing)}")
    merged = _merge(load(folder), records(verdicts.bodies(names)))
    kept = set(merged.tables["verdicts"]["claim"])
    beside = {**read_environment(folder / ENVIRONMENT), **verdicts.environment()}
    beside = {name: entry for name, entry in beside.items() if name in kept}
    publishing.publish(merged, {ENVIRONMENT: to_json(beside)}, folder=folder)
    disk.write(page, claims_page.render(merged, beside).encode())
    return [*sorted(folder.iterdir()), page]


def _merge(committed: Records | None, fresh: Records) -> Records:
    """Return fresh tables with the rows of committed claims that are not among them, in the order of kinds."""
    if committed is None:
        return fresh
    judged = set(fresh.tables["verdicts"]["claim"])
    kept = set(catalog.names(PACKAGE)) - judged
    tables = {}
    order = {}
    for name in ("verdicts", "measured"):
        old = committed.tables[name]
        tables[name] = pd.concat([old[old["claim"].isin(kept)], fresh.tables[name]], ignore_index=True)
        if name == "verdicts":
            kinds = zip(tables[name]["claim"], tables[name]["kind"], strict=True)
            order = {claim: (KINDS.index(kind), claim) for claim, kind in kinds}
        by_claim = tables[name]["claim"].map(order)
        tables[name] = tables[name].assign(order=by_claim).sort_values("order", kind="stable").drop(columns="order")
    return _records(**tables)


def differences(bodies: Iterable[dict[str, Any]], committed: Records | None) -> list[str]:
    """Return one line per claim whose verdict is not the committed one."""
    table = None if committed is None else committed.tables["verdicts"].set_index("claim")["verdict"]
    lines = []
    for body in bodies:
        name, now = body["claim"]["name"], body["verdict"]["verdict"]
        before = "none" if table is None else table.get(name, "none")
        if now != before:
            lines.append(f"{name}: {now} here, {before} committed")
    return lines
