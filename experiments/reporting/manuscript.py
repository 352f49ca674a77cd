"""The project's own manuscript, from the published records of all studies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from checkerscope.analysis.records import Records
from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.reporting import document
from checkerscope.experiments.reporting.drawing import draw, numbers
from checkerscope.experiments.reporting.report import Place, keep, source_of
from checkerscope.experiments.store import drawings, seals
from checkerscope.experiments.store.records import load_records
from checkerscope.experiments.study import packaged

#: Folder of the manuscript's figures under the results; no study may have this name.
NAME = "manuscript"
PDF = "checkerscope.pdf"
#: Figures and tables that need no records are drawn once, under this name.
CATALOG = "catalog"


def place(results: Path, output: Path | None) -> Place:
    """Return where the manuscript goes: in a checkout the PDF lies in paper/, else with its figures in the results."""
    beside = Place.of(results / NAME, output)
    if output is not None and output.suffix == ".pdf":
        return replace(beside, folder=results / NAME)
    folder = output or results / NAME
    if output is None and packaged.is_checkout() and Path.cwd().resolve().is_relative_to(packaged.PROJECT):
        return Place(folder, packaged.PAPER / PDF)
    return Place(folder, folder / PDF)


def write(place: Place, say: Callable[[str], None]) -> Place:
    """Draw what is out of date, compile the manuscript, and return where it lies.

    Raises:
        ValueError: If no records are published, or the manuscript does not compile.
        StoreError: If published records are damaged, or the folder cannot be locked.
    """
    studies = packaged.published_studies()
    if not studies:
        raise ValueError(f"{packaged.PAPER / 'data'}: no published records; install the program again")
    records = [load_records(packaged.published(name)) for name in studies]
    strange = [f"{each.study} in {name}" for name, each in zip(studies, records, strict=True) if each.study != name]
    if strange:
        raise StoreError(f"{packaged.PAPER / 'data'}: expected every study in its own folder, got {strange[0]}")
    source = source_of(records, NAME)
    with drawings.alone(place.folder, say):
        if not drawings.is_current(place.folder, source):
            drawings.write(place.folder, _drawn([Records(study=CATALOG), *records], say), source)
        keep(place.pdf, document.compile_pdf(place.folder / document.MANUSCRIPT), place.folder, source)
    return place


def _drawn(records: list[Records], say: Callable[[str], None]) -> dict[str, bytes]:
    """Return every study's figures and tables under its name, and the numbers of all."""
    files: dict[str, bytes] = {}
    said: dict[str, Any] = {}
    for each in records:
        say(each.study)
        drawn = draw(each, lambda name: say(f"  {name}"), scope="catalog" if each.study == CATALOG else "study")
        files |= {f"{each.study}/{name}": data for name, data in drawn.files.items()}
        said[each.study] = {**numbers(each), "artefacts": drawn.artefacts}
    return {**files, **document.sources(document.MANUSCRIPT), document.DATA: seals.to_json(said)}
