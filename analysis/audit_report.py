"""What an audit found: per layer, for the whole, as text and as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from analysis.tracing.phases import FLOOR_DB

#: Default limit of the tone, in dB relative to the output's contrast; see `analysis.audit.audit`.
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
    """The grid behind one module on flat inputs.

    Attributes:
        path: The module, "" for the model.
        kind: Its class.
        tone_db: Share of the grid in the power of its output, in dB.
    """

    path: str
    kind: str
    tone_db: float


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
        trace: The grid behind every module that ends after the first enlargement began, in that order.
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
    """Return the report as lines for people."""
    lines = [report.verdict]
    if report.layers:
        rows: list[tuple[str, ...]] = [("layer", "kind", "", "period", "gain spread", "own tone", "at output")]
        rows += [_row(layer) for layer in report.layers]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines.append("")
        lines += ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"  {layer.name}: {layer.note}" for layer in report.layers if layer.note]
    lines += [f"  never executed: {path}" for path in report.unused]
    if report.tones:
        lines.append("")
        lines += [_probe(name, values, "tone") for name, values in report.tones.items()]
        lines += [_probe(name, values, "phase variance") for name, values in report.phase_variance_db.items()]
        lines.append(f"0 dB is the output's contrast, {report.contrast:.4g} RMS; limit {report.threshold_db:g} dB")
    cures = report.layers[report.worst].cures if report.worst is not None and not report.clean else ()
    if cures:
        lines += ["", "cures that fit:"]
        lines += [f"  {cure.name}: {cure.promise}; {cure.cost}" for cure in cures]
    return lines


def _row(layer: Layer) -> tuple[str, ...]:
    spread = "-" if layer.gain_spread is None else f"{layer.gain_spread:.3f}"
    left = _db(layer.output_db) + (" (cancelled)" if layer.cancelled else "")
    period = "drifts" if layer.drifts else "x".join(map(str, sorted(set(layer.period), reverse=True)))
    return layer.name, layer.kind, layer.geometry, period, spread, _db(layer.own_db), left


def _db(value: float | None) -> str:
    return "-" if value is None else "none" if value <= FLOOR_DB else f"{value:.1f} dB"


def _probe(name: str, values: dict[str, float], what: str) -> str:
    parts = ", ".join(f"{period}: {_db(value)}" for period, value in values.items())
    return f"{what} on {name} input, by period: {parts}"
