"""From records to figures, tables, numbers and the PDF. Every number in the manuscript comes through here."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import typst

from checkerscope.analysis.records import Records
from checkerscope.experiments.store import disk, seals
from checkerscope.toolkit import catalog

PAPER = Path(__file__).resolve().parents[2] / "paper"
MANUSCRIPT = "checkerscope.typ"
#: Studies that the manuscript shows beside the one it is compiled for, where their records are committed, and which of
#: their figures and tables; () for all that their records allow.
COMPANIONS: dict[str, tuple[str, ...]] = {
    "unet": ("main_results",),
    "catalogue": ("costs",),
    "cures": ("cures",),
    "claims": (),
    "metric_audit": ("metric_audit",),
    "calibration": ("calibration",),
    "probe": ("probe_against_photographs", "probe_agreement", "probe"),
}
#: matplotlib writes the time of drawing into a PDF unless this is set: the same data must give the same bytes.
EPOCH = "1704067200"


@dataclass(frozen=True)
class Output:
    """What was written, and what was left out with the reason."""

    figures: tuple[Path, ...]
    tables: tuple[Path, ...]
    numbers: Path
    skipped: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        paths = {"figures": [str(p) for p in self.figures], "tables": [str(p) for p in self.tables]}
        return {**paths, "numbers": str(self.numbers), "skipped": list(self.skipped)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Output:
        """Return what `to_json` gave."""
        figures, tables = (tuple(Path(p) for p in value[key]) for key in ("figures", "tables"))
        return cls(figures, tables, Path(value["numbers"]), tuple(value["skipped"]))


def build(
    records: Records, folder: Path, report: Callable[[str], None] = lambda line: None, *, only: tuple[str, ...] = ()
) -> Output:
    """Draw every figure and build every table that the records allow, into `folder`.

    Args:
        records: Collected numbers.
        folder: Gets `figures/<study>`, `tables/<study>` and `numbers.json`.
        report: Told the name of each artefact as it is made.
        only: Names of the artefacts that are wanted; () for every one.
    """
    os.environ.setdefault("SOURCE_DATE_EPOCH", EPOCH)
    drawn: list[Path] = []
    built: list[Path] = []
    skipped: dict[str, list[str]] = {}
    for package, make, made in (
        ("checkerscope.analysis.figures", _figure, drawn),
        ("checkerscope.analysis.tables", _table, built),
    ):
        target = folder / package.rpartition(".")[2] / records.study
        for name in (name for name in catalog.names(package) if not only or name in only):
            lacking = [need for need in _needs(package, name) if not records.has(need)]
            if lacking:
                if all("." in need for need in lacking):  # a metric; a table belongs to a study of its own
                    skipped.setdefault(", ".join(lacking), []).append(name)
                continue
            report(name)
            made += make(catalog.load(package, name), records, target / name)
    numbers = folder / "numbers" / f"{records.study}.json"
    captions = {path.stem: catalog.load(package_of(path), path.stem).CAPTION for path in (*drawn, *built)}
    disk.write(numbers, seals.to_json({**study_numbers(records), "captions": captions}))
    said = (f"{', '.join(names)}: the records have no {lacking}" for lacking, names in skipped.items())
    return Output(tuple(drawn), tuple(built), numbers, tuple(said))


def _needs(package: str, name: str) -> tuple[str, ...]:
    return tuple(catalog.describe_one(package, name).flags.get("needs", ()))


def _figure(module: Any, records: Records, path: Path) -> list[Path]:
    figure = module.draw(records)
    outputs = []
    for suffix, options in ((".png", {"metadata": {"Software": None}}), (".pdf", {"metadata": {"CreationDate": None}})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], dpi=figure.dpi, **options)
        outputs.append(path.with_suffix(suffix))
        disk.write(outputs[-1], buffer.getvalue())
    return outputs


def _table(module: Any, records: Records, path: Path) -> list[Path]:
    table: pd.DataFrame = module.build(records)
    escaped = table.map(lambda value: _tex(str(value))).rename(columns=_tex)
    tex = escaped.style.hide(axis="index").to_latex(hrules=True)
    outputs = [path.with_suffix(".csv"), path.with_suffix(".tex")]
    disk.write(outputs[0], table.to_csv(index=False, lineterminator="\n").encode())
    disk.write(outputs[1], tex.encode())
    return outputs


_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_TEX |= {character: f"\\{character}" for character in "&%$#_{}"}


def _tex(text: str) -> str:
    # names come from files and configs: nothing of them may reach LaTeX as a command
    return "".join(_TEX.get(character, character) for character in text)


def package_of(artefact: Path) -> str:
    """Return the package whose component made an artefact: `<figures|tables>/<study>/<name>`."""
    return f"analysis.{artefact.parent.parent.name}"


def study_numbers(records: Records) -> dict[str, Any]:
    """Return the numbers that the text quotes: raw values beside formatted strings, by arm and column."""
    from checkerscope.analysis.tables import main_results

    if records.runs.empty:
        return {"study": records.study, "question": records.question}
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
        "study": records.study,
        "question": records.question,
        "runs": len(records.runs),
        "arms": arms,
        "arm_count": len(records.arms),
        "seeds": int(records.runs["seed"].nunique()),
        "diverged": int(counts.get("diverged", 0)),
        "failed": int(counts.get("failed", 0)),
        "findings": main_results.findings(records),
    }


def compile_pdf(output: Path, *, study: str, root: Path = PAPER) -> Path:
    """Compile the manuscript with one study's figures, tables and numbers; the same inputs give the same bytes.

    Raises:
        ValueError: If the manuscript does not compile; the message is typst's.
    """
    shown = [name for name in COMPANIONS if (root / "data" / name).is_dir()]
    inputs = {"study": study, "companions": " ".join(shown)}
    try:
        data = typst.compile(
            str(root / MANUSCRIPT), root=str(root), sys_inputs=inputs, timestamp=0, ignore_system_fonts=True
        )
    except typst.TypstError as error:
        raise ValueError(f"{root / MANUSCRIPT}: {error}") from None
    if not isinstance(data, bytes):
        raise ValueError(f"{root / MANUSCRIPT}: expected one PDF document")
    disk.write(output, data)
    return output
