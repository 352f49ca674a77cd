"""Typst: from a template that comes with the program and a folder of figures, tables and numbers to a PDF."""

from __future__ import annotations

from pathlib import Path

import typst

from checkerscope.experiments.study import packaged

#: The report of a study, the project's own manuscript, and what both are made with.
REPORT, MANUSCRIPT, PIECES, REFERENCES = "report.typ", "checkerscope.typ", "pieces.typ", "refs.bib"
#: What a document says besides its template, beside the figures and tables.
DATA = "document.json"


def check() -> None:
    """Make sure that a PDF can be made in the end.

    Raises:
        ValueError: If a template is not there, or Typst does not compile one word.
    """
    for name in (REPORT, MANUSCRIPT, PIECES, REFERENCES):
        if not (packaged.PAPER / name).is_file():
            raise ValueError(f"{packaged.PAPER / name}: missing; expected a template, install the program again")
    try:
        typst.compile(b"A", ignore_system_fonts=True)
    except (typst.TypstError, OSError, RuntimeError) as error:
        raise ValueError(f"typst: expected it to compile one word, got: {error}; install typst again") from None


def sources(template: str) -> dict[str, bytes]:
    """Return a template and what it includes, by file name: a folder that has them can be compiled by hand."""
    return {name: (packaged.PAPER / name).read_bytes() for name in (template, PIECES, REFERENCES)}


def compile_pdf(source: Path) -> bytes:
    """Return a document compiled from its own folder; the same contents give the same bytes.

    Args:
        source: The template, with `sources`, `DATA`, figures and tables beside it.

    Raises:
        ValueError: If it does not compile; the message is Typst's.
    """
    source = source.resolve()
    try:
        data = typst.compile(str(source), root=str(source.parent), timestamp=0, ignore_system_fonts=True)
    except typst.TypstError as error:
        raise ValueError(f"{source}: {error}") from None
    return data
