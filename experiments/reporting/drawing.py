"""From records to figures, tables and numbers, as bytes. Every number in a document comes through here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from checkerscope.analysis.figures._style import PAGE, encoded
from checkerscope.analysis.records import Records
from checkerscope.experiments.store.cells import csv_bytes
from checkerscope.toolkit import catalog

FIGURES, TABLES = "checkerscope.analysis.figures", "checkerscope.analysis.tables"
#: Place of a figure or table that declares none; small numbers come first.
RANK = 50


@dataclass(frozen=True)
class Drawn:
    """What the records allowed.

    Attributes:
        files: Name, such as `figures/cures.png`, to content.
        artefacts: One entry per figure or table, in the order of a document: kind, name, label, caption, and a
            figure's width as a share of the page's.
        skipped: One sentence per reason why a figure or table is not there.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    artefacts: tuple[dict[str, Any], ...] = ()
    skipped: tuple[str, ...] = ()


def draw(records: Records, report: Callable[[str], None] = lambda line: None, *, scope: str = "study") -> Drawn:
    """Draw every figure and build every table of a scope that the records allow.

    Args:
        records: Collected numbers.
        report: Told the name of each figure and table as it is made.
        scope: "study": of the records; "catalog": of the components that the program has, whatever the records.
    """
    files: dict[str, bytes] = {}
    artefacts: list[dict[str, Any]] = []
    skipped: dict[str, list[str]] = {}
    for package, name in _ordered():
        if _flag(package, name, "scope", "study") != scope:
            continue
        lacking = [need for need in _flag(package, name, "needs", ()) if not records.has(need)]
        if not lacking:
            report(name)
            made, artefact = _make(package, name, records)
            files |= made
            artefacts.append(artefact)
        elif all("." in need for need in lacking):  # a metric; other tables belong to records of another kind
            skipped.setdefault(", ".join(lacking), []).append(f"{_label(package, name)} ({name})")
    said = (f"{'; '.join(names)}: the records have no {lacking}." for lacking, names in skipped.items())
    return Drawn(files, tuple(artefacts), tuple(said))


def _ordered() -> list[tuple[str, str]]:
    """Return all tables and figures, each with its package, in the order of a document: by `RANK`, tables first."""
    found = [(package, name) for package in (TABLES, FIGURES) for name in catalog.names(package)]
    return sorted(found, key=lambda one: _flag(one[0], one[1], "rank", RANK))


def _flag(package: str, name: str, flag: str, default: Any) -> Any:
    return catalog.describe_one(package, name).flags.get(flag, default)


def _label(package: str, name: str) -> str:
    return catalog.describe_one(package, name).label


def _make(package: str, name: str, records: Records) -> tuple[dict[str, bytes], dict[str, Any]]:
    module = catalog.load(package, name)
    said = {"name": name, "label": _label(package, name), "caption": module.CAPTION}
    if package == TABLES:
        return _table(module.build(records), f"tables/{name}"), {"kind": "table", **said}
    figure = module.draw(records)
    files = {f"figures/{name}{suffix}": encoded(figure, suffix) for suffix in (".png", ".pdf")}
    return files, {"kind": "figure", **said, "width": round(min(1.0, figure.get_figwidth() / PAGE), 3)}


def _table(table: pd.DataFrame, name: str) -> dict[str, bytes]:
    escaped = table.map(lambda value: _tex(str(value))).rename(columns=_tex)
    tex = escaped.style.hide(axis="index").to_latex(hrules=True)
    return {f"{name}.csv": csv_bytes(table), f"{name}.tex": tex.encode()}


_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_TEX |= {character: f"\\{character}" for character in "&%$#_{}"}


def _tex(text: str) -> str:
    # names come from files and configs: nothing of them may reach LaTeX as a command
    return "".join(_TEX.get(character, character) for character in text)


def numbers(records: Records) -> dict[str, Any]:
    """Return the numbers that a document quotes: counts, and per arm and column the raw value beside its text."""
    from checkerscope.analysis.tables import main_results

    found: dict[str, Any] = {"study": records.study, "question": records.question, "runs": len(records.runs)}
    if records.runs.empty:
        return found
    table = main_results.numbers(records)
    shown = main_results.build(records).set_index("arm")
    arms = {
        row["arm"]: {
            column: {"value": None if pd.isna(row[column]) else float(row[column]), "text": shown[column][row["arm"]]}
            for column in main_results.columns(records)
        }
        for _, row in table.iterrows()
    }
    counts = records.runs["status"].value_counts()
    return {
        **found,
        "arms": arms,
        "arm_count": len(records.arms),
        "seeds": int(records.runs["seed"].nunique()),
        "diverged": int(counts.get("diverged", 0)),
        "failed": int(counts.get("failed", 0)),
        "findings": main_results.findings(records),
    }
