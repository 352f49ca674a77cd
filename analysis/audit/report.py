"""What an audit found: per layer, for the whole, as text and as plain data."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from checkerscope.analysis.audit.grids import FLOOR_DB, name_of

#: Characters in a line of the report.
WIDTH = 80

#: Default limit of the tone, in dB relative to the output's contrast; see `analysis.audit.procedure.audit`.
THRESHOLD_DB = -50.0
NOTHING = "Nothing to judge: no layer enlarges its map."
NO_LATTICE = "Clean: no enlargement leaves a fixed lattice in the output."


@dataclass(frozen=True)
class Cure:
    """A remedy that fits a layer.

    Attributes:
        name: File in `toolkit/remedies`.
        promise: What it promises.
        cost: What it costs when the model runs.
    """

    name: str
    promise: str
    cost: str


@dataclass(frozen=True)
class Layer:
    """One place where the map grows.

    Attributes:
        path: Path in the module tree, "" for the model's own forward.
        where: The line of code that called, "file.py:line".
        kind: What it is.
        scale: Factor per spatial axis.
        period: Accumulated period of its output, in its own pixels per axis.
        kernel: Taps per axis; empty without a kernel.
        overlap: Highest over lowest number of taps per output pixel; None without overlap to speak of.
        gain_spread: RMS deviation of the phase gains from their mean over their RMS, over all channel pairs, with
            the actual weights; not judged. None where the layer has no taps of its own.
        own_db: Predicted tone: power of the grid in the layer's own output over the output's power, when its input
            is flat. -1.25 dB is what random weights give at scale 2 in 2-D (1 - 1 / s^2).
        output_db: What of it is left at the model's output, relative to the output's contrast.
        cancelled: It makes a grid and later layers remove it.
        drifts: Its phases move over the map, so that there is no fixed lattice to judge.
        note: What else there is to say.
        cures: Remedies that fit; none for a layer that is clean.
    """

    path: str
    where: str
    kind: str
    scale: tuple[float, ...]
    period: tuple[int, ...]
    kernel: tuple[int, ...] = ()
    overlap: float | None = None
    gain_spread: float | None = None
    own_db: float | None = None
    output_db: float | None = None
    cancelled: bool = False
    drifts: bool = False
    note: str = ""
    cures: tuple[Cure, ...] = ()

    @property
    def name(self) -> str:
        """Where it is: the path, or the line of code in the model's own forward."""
        return self.path or f"(model) {self.where}".rstrip()

    @property
    def geometry(self) -> str:
        """Kernel and scale in short, "k4 s2"."""
        kernel = [f"k{_per_axis(self.kernel)}"] if self.kernel else []
        return " ".join([*kernel, f"s{_per_axis(self.scale)}"])


def _per_axis(values: tuple[float, ...]) -> str:
    texts = [f"{value:g}" if value >= 1 else f"{value:.3g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else "x".join(texts)


@dataclass(frozen=True)
class Step:
    """The grid behind one module, or one enlargement in it, on flat inputs.

    Attributes:
        path: The module, "" for the model.
        kind: Its class.
        tone_db: Share of the grid in the power of the map there, in dB.
        layer: Index in `Report.layers` where it is an enlargement.
    """

    path: str
    kind: str
    tone_db: float
    layer: int | None = None


@dataclass(frozen=True)
class Report:
    """The result of an audit.

    Attributes:
        clean: The output's tone on flat inputs lies below `threshold_db`.
        verdict: One sentence.
        layers: Every enlargement, in the order of execution.
        tone_db: Tone of the output on flat inputs, all periods together, relative to its contrast.
        threshold_db: The limit.
        tones: Tone in dB by probe ("flat", "ramp", "noise", "given") and period ("2", "4", ...).
        phase_variance_db: Relative spread of the phase variances in dB, by probe and period; reported, not judged.
        period: Accumulated period of the judged output.
        output: Which of the model's outputs is judged (the one with the strongest tone), "" for a single one.
        worst: Index in `layers` of the one that leaves most at the output; None if nothing is left, or if what is
            left is there without any enlargement (a mask, a learned map).
        unused: Layers that enlarge but were never executed.
        trace: The grid behind every enlargement and every module that ends after the first of them, in that order.
        contrast: RMS deviation of the output from its spatial mean, in output units: what 0 dB stands for.
        spectrum: Mean power spectrum of the output on noise, zero frequency first; for the picture.
        phase_map: The mean cell of the output on flat inputs without its mean; for the picture.
    """

    clean: bool
    verdict: str
    layers: tuple[Layer, ...]
    tone_db: float | None = None
    threshold_db: float = THRESHOLD_DB
    tones: dict[str, dict[str, float]] = field(default_factory=dict)
    phase_variance_db: dict[str, dict[str, float]] = field(default_factory=dict)
    period: tuple[int, ...] = ()
    output: str = ""
    worst: int | None = None
    unused: tuple[str, ...] = ()
    contrast: float | None = None
    trace: tuple[Step, ...] = ()
    spectrum: Any = field(default=None, repr=False)
    phase_map: Any = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, without the arrays of the picture."""
        plain = asdict(self)
        for key in ("spectrum", "phase_map"):
            plain.pop(key)
        return plain

    def __str__(self) -> str:
        return "\n".join(text(self))


def text(report: Report) -> list[str]:
    """Return the report as lines for people, at most `WIDTH` characters wide as far as paths allow."""
    lines = _folded(report.verdict)
    if report.layers:
        lines += ["", *_layers(report)]
    if report.unused:
        lines += ["", "never executed:", *(f"  {path}" for path in report.unused)]
    if report.tones:
        about = f"dB of its contrast ({report.contrast:.3g} RMS); limit {report.threshold_db:g} on flat inputs"
        lines += ["", *_folded(f"grid in the output{_of(report)}, {about}"), *_by_period(report.tones)]
        lines += [
            "",
            "spread of the phase variances, dB of their mean squared; not judged",
            *_by_period(report.phase_variance_db),
        ]
    if report.worst is not None and not report.clean and report.layers[report.worst].cures:
        worst = report.layers[report.worst]
        lines += ["", f"cures that fit {worst.name}:"]
        for cure in worst.cures:
            lines += _folded(f"{cure.name}: {cure.promise}; {cure.cost}", "  ")
    return lines


def _of(report: Report) -> str:
    return f" {report.output}" if report.output else ""


def _folded(line: str, indent: str = "") -> list[str]:
    """Return a line folded at `WIDTH`; what follows the first is indented."""
    return textwrap.wrap(
        line, WIDTH, initial_indent=indent, subsequent_indent=indent + "  " * bool(indent), break_long_words=False
    )


def _layers(report: Report) -> list[str]:
    """Return two lines per layer: what it is, and its numbers under a common heading."""
    lines = ["layers that enlarge" + "period  overlap  gain spread  own grid   at output".rjust(WIDTH - 19)]
    for index, layer in enumerate(report.layers):
        mark = ">" if index == report.worst and not report.clean else " "
        name = f"{layer.name}: {layer.kind}, {layer.geometry}"
        lines += textwrap.wrap(name, WIDTH, initial_indent=f"{mark} ", subsequent_indent="    ", break_long_words=False)
        lines.append(_numbers(layer))
        lines += _folded(layer.note, "    ") if layer.note else []
    return lines


def _numbers(layer: Layer) -> str:
    spread = "-" if layer.gain_spread is None else f"{layer.gain_spread:.3f}"
    overlap = "-" if layer.overlap is None else f"{layer.overlap:.3g}"
    period = "drifts" if layer.drifts else name_of(layer.period)
    cells = f"{period:>6}  {overlap:>7}  {spread:>11}  {_db(layer.own_db):>8}  {_db(layer.output_db):>10}"
    return (("(cancelled)  " if layer.cancelled else "") + cells).rjust(WIDTH)


def _by_period(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a table with a row per period and a column per probe."""
    periods = list(dict.fromkeys(period for values in found.values() for period in values))
    width = max((len(period) for period in periods), default=0)
    lines = [f"  {'period':<{max(6, width)}}" + "".join(f"{probe:>11}" for probe in found)]
    for period in periods:
        cells = (f"{_db(values.get(period)):>11}" for values in found.values())
        lines.append(f"  {period:<{max(6, width)}}" + "".join(cells))
    return lines


def _db(value: float | None) -> str:
    return "-" if value is None else "none" if value <= FLOOR_DB else f"{round(value, 1) + 0.0:.1f} dB"
