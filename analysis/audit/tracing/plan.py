"""What a pass is asked to do, and what it notes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from checkerscope.analysis.audit.growth.lineage import Period
from checkerscope.analysis.audit.growth.records import Taps
from checkerscope.analysis.audit.tracing.statistics import Statistics

#: What enlargements that run more than once, tile by tile or step by step, have in common.
Group = tuple[str, str, str, tuple[Fraction, ...], Period]


@dataclass
class Enlargement:
    """One place and moment at which a map grows.

    Attributes:
        index: Order of execution.
        path: Of the innermost running module.
        where: The line of code that called, "file.py:line".
        kind: What it is.
        scale: Factor per spatial axis.
        period: Of all grids that its output may carry, in its own pixels.
        grid: Resolution of its input.
        taps: Its numbers.
        drifts: The lattice is not fixed.
        note: What else there is to say.
        own_tone: Share of the AC part in its output's power when its input is flat; filled by flat passes.
        group: What it shares with its repetitions.
    """

    index: int
    path: str
    where: str
    kind: str
    scale: tuple[Fraction, ...]
    period: Period
    grid: tuple[int, ...]
    taps: Taps | None = None
    drifts: bool = False
    note: str = ""
    own_tone: float | None = None
    group: Group = ("", "", "", (), ())


@dataclass(frozen=True)
class Mark:
    """The grid at one point of a pass.

    Attributes:
        path: Of the module that ended, or in which the enlargement is.
        share: Of the AC part in the power of the phase means there.
        enlargement: Index of the enlargement whose output it is; None for a module's.
    """

    path: str
    share: float
    enlargement: int | None


@dataclass(frozen=True)
class Plan:
    """What to do besides watching.

    Attributes:
        circular: Run on a periodic map.
        flat_inputs: Make the input of enlargements flat before which there is none.
        flat_outputs: Groups of enlargements whose output is made flat.
        measured: Group whose own grid is wanted.
        traced: Note the grid in the output of every module.
        statistics: Statistics of the map: noted on the example, or held at those.
        is_held: Hold them.
    """

    circular: bool = False
    flat_inputs: bool = False
    flat_outputs: frozenset[Group] = frozenset()
    measured: Group | None = None
    traced: bool = False
    statistics: Statistics | None = None
    is_held: bool = False
