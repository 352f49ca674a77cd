"""What an audit found: per layer, for the whole, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log10
from typing import Any

#: Default limit of the tone, in dB relative to the output's contrast; see `analysis.audit.procedure.audit`.
THRESHOLD_DB = -50.0
#: A layer whose own grid is weaker than this is clean; rounding in float32 leaves about -130 dB.
OWN_FLOOR_DB = -60.0
NOTHING = "Nothing to judge: no layer enlarges its map."
NO_LATTICE = "Clean: no enlargement leaves a fixed lattice in the output."


@dataclass(frozen=True)
class Limit:
    """The limit of the tone.

    Attributes:
        decibel: Relative to the output's contrast.
        rms: In units of the output instead, if given.
    """

    decibel: float = THRESHOLD_DB
    rms: float | None = None

    def in_decibel(self, reference: float) -> float:
        """Return it in dB of a contrast, a mean square."""
        if self.rms is None or not reference > 0:
            return self.decibel
        return 10 * log10(self.rms**2 / reference)


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
        output_db: What of the output's tone it makes, relative to the output's contrast; the powers of all layers and
            of `Report.rest_db` add up to the tone.
        cancelled: It makes a grid and later layers remove it.
        drifts: Its phases move over the map, so that there is no fixed lattice to judge.
        note: What else there is to say.
        times: How often it runs: tile by tile, step by step.
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
    times: int = 1

    @property
    def name(self) -> str:
        """Where it is: the path, or the line of code in the model's own forward."""
        return self.path or f"(model) {self.where}".rstrip()

    @property
    def makes_grid(self) -> bool:
        """Whether a flat input shows a grid in its own output."""
        return self.own_db is not None and self.own_db > OWN_FLOOR_DB

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
class Findings:
    """The result of an audit; `Report` is the same with its text.

    Attributes:
        clean: The output's tone on flat inputs lies below `threshold_db`, and nothing else says that there is a grid.
        verdict: One sentence.
        layers: Every enlargement, in the order of execution.
        judgement: "clean", "not clean", "borderline" (so near to the limit, or to rounding, that another example could
            decide otherwise), "nothing to judge" (no enlargement) or "cannot be judged".
        tone_db: Tone of the output on flat inputs, all periods together, relative to its contrast.
        threshold_db: The limit.
        tones: Tone in dB by probe ("flat", "ramp", "noise", "given") and period ("2", "4", ...).
        made_by: For every period, the index in `layers` of the one that makes most of its lines; None for none.
        rest_db: What of the tone no enlargement makes.
        spread_db: Weakest and strongest tone of the single flat inputs.
        grey_levels: RMS of the tone in grey levels of 255, for an output from 0 to 1, or -1 to 1 behind a tanh.
        floor_db: What rounding alone may leave, in the coarsest precision of any map on the way.
        squash: The operator that the output ends with if it squashes values: sigmoid, softmax, clamp, argmax.
        before_squash: Whether what that operator takes is judged, and not the output itself.
        other_db: Tone of the one of these two that is not judged.
        texture_db: Grid on the faintest texture in dB of its contrast, where flat inputs show none and content does.
        seam_db: Seams between tiles, if the map is worked on in tiles.
        phase_variance_db: Relative spread of the phase variances in dB, by probe and period; reported, not judged.
        period: Accumulated period of the judged output.
        output: Which of the model's outputs is judged (the one with the strongest tone), "" for a single one.
        worst: Index in `layers` of the one that leaves most at the output; None if nothing is left, or if what is
            left is there without any enlargement (a mask, a learned map).
        unused: Layers that enlarge but were never executed.
        notes: What was done to the example.
        trace: The grid behind every enlargement and every module that ends after the first of them, in that order.
        contrast: RMS deviation of the output from its spatial mean, in output units: what 0 dB stands for.
        spectrum: Mean power spectrum of the output on noise, zero frequency first; for the picture.
        phase_map: The mean cell of the output on the flat input with the strongest grid, without its mean; for the
            picture.
    """

    clean: bool
    verdict: str
    layers: tuple[Layer, ...]
    judgement: str = "clean"
    tone_db: float | None = None
    threshold_db: float = THRESHOLD_DB
    tones: dict[str, dict[str, float]] = field(default_factory=dict)
    made_by: dict[str, int | None] = field(default_factory=dict)
    rest_db: float | None = None
    spread_db: tuple[float, float] | None = None
    grey_levels: float | None = None
    floor_db: float | None = None
    squash: str = ""
    before_squash: bool = False
    other_db: float | None = None
    texture_db: float | None = None
    seam_db: float | None = None
    phase_variance_db: dict[str, dict[str, float]] = field(default_factory=dict)
    period: tuple[int, ...] = ()
    output: str = ""
    worst: int | None = None
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    contrast: float | None = None
    trace: tuple[Step, ...] = ()
    spectrum: Any = field(default=None, repr=False)
    phase_map: Any = field(default=None, repr=False)
