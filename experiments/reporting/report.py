"""The report of one study: its figures, tables and PDF, in its own results folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkerscope.analysis.records import Records
from checkerscope.experiments.reporting import document, method
from checkerscope.experiments.reporting.drawing import draw, numbers
from checkerscope.experiments.store import disk, drawings, seals
from checkerscope.experiments.store.records import from_files, to_files
from checkerscope.experiments.study import source_code
from checkerscope.experiments.study.grid import Grid

#: Most runs whose failure is told one by one.
MOST_FAILURES = 10


@dataclass(frozen=True)
class Place:
    """Where a report goes: the folder of figures, tables and numbers, and the PDF."""

    folder: Path
    pdf: Path

    @classmethod
    def of(cls, study: Path, output: Path | None) -> Place:
        """Return the place of a study's report.

        Args:
            study: The study's results.
            output: A name that ends in .pdf is the PDF's alone; any other is the folder of everything.
        """
        name = f"{study.name}.pdf"
        if output is not None and output.suffix != ".pdf":
            return cls(output, output / name)
        folder = study / "report"
        return cls(folder, output or folder / name)


@dataclass(frozen=True)
class Report:
    """What was written, and one sentence per thing that was left out."""

    place: Place
    left_out: tuple[str, ...]


def write(
    records: Records, grid: Grid, place: Place, *, gaps: Sequence[str] = (), say: Callable[[str], None]
) -> Report:
    """Draw what is out of date, compile the report, and return where it lies.

    Args:
        records: Of the study; drawn as their files give them back.
        grid: The study's config, which fills the method.
        place: Where it goes.
        gaps: One line per thing that the records should have and do not.
        say: Told the name of each figure and table as it is made.

    Raises:
        ValueError: If the report does not compile.
        StoreError: If the folder cannot be locked.
    """
    records = from_files(to_files(records))
    left_out = (*_absent(records, grid), *_ended_badly(records), *(f"{gap[:1].upper()}{gap[1:]}." for gap in gaps))
    spec = grid.config.study
    said = {
        "title": spec.title or spec.name.replace("_", " ").capitalize(),
        "authors": list(spec.authors),
        "method": method.paragraphs(grid),
    }
    source = source_of([records], {**said, "left_out": left_out})
    with drawings.alone(place.folder, say):
        if not drawings.is_current(place.folder, source):
            drawn = draw(records, say)
            left_out = (*drawn.skipped, *left_out)
            body = {**said, **numbers(records), "artefacts": drawn.artefacts, "left_out": left_out}
            files = {**drawn.files, **document.sources(document.REPORT), document.DATA: seals.to_json(body)}
            drawings.write(place.folder, files, source)
        left_out = tuple(drawings.load(place.folder / document.DATA)["left_out"])
        keep(place.pdf, document.compile_pdf(place.folder / document.REPORT), place.folder, source)
    return Report(place, left_out)


def source_of(records: Sequence[Records], said: Any) -> dict[str, str]:
    """Return what tells whether drawings are out of date: digests of the numbers, of the code, of what is said."""
    contents = [files for each in records for files in sorted(to_files(each).items())]
    return {
        "records": seals.digest(b"".join(name.encode() + b"\0" + data for name, data in contents)),
        "code": source_code.drawing_code(),
        "said": seals.digest(seals.to_json(said)),
    }


def keep(pdf: Path, data: bytes, folder: Path, source: dict[str, str]) -> None:
    """Write a PDF, which is noted with the figures where it lies beside them."""
    if pdf.parent == folder:
        drawings.write(folder, {pdf.name: data}, source)
    else:
        disk.write(pdf, data)


def _absent(records: Records, grid: Grid) -> list[str]:
    """Return a sentence on runs of the config that the records do not have."""
    count = len(grid) - len(records.runs)
    return [f"{count} of {len(grid)} runs of the config are not in the records."] if count > 0 else []


def _ended_badly(records: Records) -> list[str]:
    """Return a sentence per run that failed or diverged: no mean has it."""
    bad = records.runs[records.runs["status"] != "done"]
    lines = [
        f"{row['arm']}, seed {row['seed']}: {row['status']}, {row.get('why', '') or 'no reason was kept'}."
        for row in bad.head(MOST_FAILURES).to_dict("records")
    ]
    more = len(bad) - len(lines)
    return lines + ([f"{more} more runs that failed or diverged."] if more else [])
