"""A report as text for people, at most `WIDTH` characters wide as far as paths allow."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from checkerscope.analysis.audit.findings import Findings, Layer
from checkerscope.analysis.audit.grids import FLOOR_DB, name_of

#: Characters in a line of the report.
WIDTH = 80


def lines(report: Findings, *, sample_rate: float | None = None) -> list[str]:
    """Return the lines of a report.

    Args:
        report: The report.
        sample_rate: Of an audio model, in Hz: the frequency of every line is said with it.
    """
    found = _folded(report.verdict)
    for note in report.notes:
        found += _folded(f"note: {note}")
    if report.layers:
        found += ["", *_layers(report)]
    if report.unused:
        found += ["", "never executed:", *(f"  {path}" for path in report.unused)]
    if report.tones:
        found += ["", *_folded(_about(report)), *_by_period(report.tones, _makers(report, sample_rate))]
        found += _seldom(report)
        found += [
            "",
            "spread of the phase variances, dB of their mean squared; not judged",
            *_by_period(report.phase_variance_db, {}),
        ]
    return found


def _about(report: Findings) -> str:
    which = f" {report.output}" if report.output else ""
    where = f" before its {report.squash}" if report.before_squash else ""
    about = f"dB of its contrast ({report.contrast:.3g} RMS); limit {report.threshold_db:.4g} on flat inputs"
    return f"grid in the output{which}{where}, {about}"


def _seldom(report: Findings) -> list[str]:
    """Return what there is to say beside the table: spread over levels, grey levels, rounding, what is nobody's."""
    parts = []
    if report.tone_db is not None and report.tone_db > FLOOR_DB and report.spread_db is not None:
        low, high = (_db(value) for value in report.spread_db)
        parts.append(f"over the flat levels: {low} to {high}")
        parts.append(f"{report.grey_levels:.3g} grey levels of 255")
    if report.rest_db is not None and not report.clean and report.rest_db > FLOOR_DB:
        parts.append(f"made by no enlargement: {_db(report.rest_db)}")
    if report.floor_db is not None and report.floor_db > report.threshold_db - 20:
        parts.append(f"rounding leaves up to {_db(report.floor_db)}")
    if report.other_db is not None:
        place = f"behind the {report.squash}" if report.before_squash else f"before the {report.squash}"
        parts.append(f"{place}: {_db(report.other_db)}")
    if report.seam_db is not None:
        parts.append(f"seams between tiles: {_db(report.seam_db)}")
    return _folded("; ".join(parts), "  ") if parts else []


def _makers(report: Findings, sample_rate: float | None) -> dict[str, str]:
    """Return what is said behind each period: its frequency, and which layer makes its lines."""
    found = {}
    for period in dict.fromkeys(period for values in report.tones.values() for period in values):
        pieces = []
        if sample_rate is not None and period.isdecimal():
            pieces.append(f"{sample_rate / int(period):g} Hz")
        maker = report.made_by.get(period)
        if maker is not None and report.tones.get("flat", {}).get(period, FLOOR_DB) > FLOOR_DB:
            pieces.append(f"by {report.layers[maker].name}")
        found[period] = ", ".join(pieces)
    return found


def _folded(line: str, indent: str = "") -> list[str]:
    """Return a line folded at `WIDTH`; what follows the first is indented."""
    return textwrap.wrap(
        line, WIDTH, initial_indent=indent, subsequent_indent=indent + "  " * bool(indent), break_long_words=False
    )


def _layers(report: Findings) -> list[str]:
    """Return two lines per layer: what it is, and its numbers under a common heading."""
    found = ["layers that enlarge" + "period  overlap  gain spread  own grid   at output".rjust(WIDTH - 19)]
    for index, layer in enumerate(report.layers):
        mark = ">" if index == report.worst and not report.clean else " "
        name = f"{layer.name}: {layer.kind}, {layer.geometry}" + (f", {layer.times} times" if layer.times > 1 else "")
        found += textwrap.wrap(name, WIDTH, initial_indent=f"{mark} ", subsequent_indent="    ", break_long_words=False)
        found.append(_numbers(layer))
        found += _folded(layer.note, "    ") if layer.note else []
    return found


def _numbers(layer: Layer) -> str:
    spread = "-" if layer.gain_spread is None else f"{layer.gain_spread:.3f}"
    overlap = "-" if layer.overlap is None else f"{layer.overlap:.3g}"
    period = "drifts" if layer.drifts else name_of(layer.period)
    cells = f"{period:>6}  {overlap:>7}  {spread:>11}  {_db(layer.own_db):>8}  {_db(layer.output_db):>10}"
    return (("(cancelled)  " if layer.cancelled else "") + cells).rjust(WIDTH)


def _by_period(found: Mapping[str, Mapping[str, float]], makers: Mapping[str, str]) -> list[str]:
    """Return a table with a row per period and a column per probe, and who makes it under it."""
    periods = list(dict.fromkeys(period for values in found.values() for period in values))
    width = max((len(period) for period in periods), default=0)
    rows = [f"  {'period':<{max(6, width)}}" + "".join(f"{probe:>11}" for probe in found)]
    for period in periods:
        cells = (f"{_db(values.get(period)):>11}" for values in found.values())
        rows.append(f"  {period:<{max(6, width)}}" + "".join(cells))
        if makers.get(period):
            rows += textwrap.wrap(makers[period], WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 8)
    return rows


def _db(value: float | None) -> str:
    return "-" if value is None else "none" if value <= FLOOR_DB else f"{round(value, 1) + 0.0:.1f} dB"
