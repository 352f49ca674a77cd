"""Which enlargement makes which line of the grid: parts that are never negative and add up to the tone exactly.

The outputs of the first 0, 1, ... enlargements are made flat; every step takes a piece out of the pattern. The pieces
of two enlargements may cancel, so powers of pieces need not add up. Therefore every lattice line of the output is
shared out by itself, in proportion to the power that each piece has at it. Behind a nonlinear layer the grid of an
early enlargement shifts the level that the later ones act on, and so changes their lines as well: those stay theirs.
Where nothing cancels and all is linear, a part is the power of its piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from checkerscope.analysis.audit.growth.lineage import Period

#: Share of a piece's power that is rounding, and of a line group's power that is no enlargement's own.
NEGLIGIBLE, SLIGHT = 1e-8, 1e-3


@dataclass(frozen=True)
class Parts:
    """The tone of an output, taken apart.

    Attributes:
        layers: Power that each enlargement makes.
        rest: Power that none makes: of a mask, of a learned map.
        made_by: For every period, the enlargement that makes most of its lines; None where the rest does.
    """

    layers: tuple[float, ...]
    rest: float
    made_by: dict[Period, int | None]


def line_powers(pattern: Tensor, period: Period) -> Tensor:
    """Return the mean square of a pattern (N, C, phases) by lattice line, (*period); it sums to that of the pattern.

    >>> [round(x, 6) for x in line_powers(torch.tensor([[[1.0, -1.0, 1.0, -1.0]]]), (4,)).tolist()]
    [0.0, 0.0, 1.0, 0.0]
    """
    spectrum = pattern.double().reshape(-1, *period).to(torch.complex128)
    for p in period:
        spectrum = torch.tensordot(spectrum, _lattice_waves(p), ([1], [0]))  # the transformed axis becomes the last
    return spectrum.abs().square().mean(0)


def _lattice_waves(period: int) -> Tensor:
    """Return exp(-2 pi i n k / p) / p, (n, k): a period is short, and every line of it is wanted."""
    n = torch.arange(period, dtype=torch.float64)
    angle = -2 * torch.pi * torch.outer(n, n) / period
    return torch.polar(torch.full_like(angle, 1 / period), angle)


def shared(tone: Tensor, pieces: Sequence[Tensor], *, power: float, periods: Iterable[Period]) -> Parts:
    """Return the parts of a tone.

    Args:
        tone: Power of the output's pattern by line, (*period), mean over all flat inputs.
        pieces: The same of what each enlargement takes out of it, and at last of what is left.
        power: Of the whole tone, that the parts add up to.
        periods: Of the grids in the output.
    """
    groups = _groups(periods, tuple(tone.shape))
    weights = _owned(torch.stack([*pieces]), list(groups.values()))
    weights[-1] = torch.where(weights.sum(0) > 0, weights[-1], 1.0)  # nobody's line is the rest's
    shares = weights / weights.sum(0) * tone
    whole = float(tone.sum())
    shares = shares * (power / whole if whole > 0 else 0.0)
    found = shares.flatten(1).sum(1).tolist()
    return Parts(tuple(found[:-1]), found[-1], {p: _maker(shares[:, lines]) for p, lines in groups.items()})


def _maker(shares: Tensor) -> int | None:
    """Return which piece has most of some lines; None for the rest, and for lines of no power."""
    strongest = int(shares.sum(1).argmax())
    return strongest if float(shares.sum(1)[strongest]) > 0 and strongest < len(shares) - 1 else None


def _owned(weights: Tensor, groups: Sequence[Tensor]) -> Tensor:
    """Return the weights without those that pieces have at lines of shorter periods than their own.

    The longest period at which a piece has any power to speak of is its own. At shorter ones it only counts where no
    piece of that period does.
    """
    power = torch.stack([weights[:, lines].sum(1) for lines in groups], 1)
    share = power / power.sum(1, keepdim=True).clamp_min(1e-300)
    own = [max((g for g in range(len(groups)) if row[g] > NEGLIGIBLE), default=0) for row in share]
    for g, lines in enumerate(groups):
        owners = [i for i, of in enumerate(own) if of == g and power[i, g] > SLIGHT * power[:, g].max()]
        guests = [i for i in range(len(weights) - 1) if i not in owners]
        if any(i < len(weights) - 1 for i in owners):
            weights[guests] = torch.where(lines, 0.0, weights[guests])
    return weights


def _groups(periods: Iterable[Period], whole: Period) -> dict[Period, Tensor]:
    """Return the lines of every period that belong to no shorter one, and of all periods together."""
    taken = torch.zeros(whole, dtype=torch.bool)
    taken[(0,) * len(whole)] = True
    found = {}
    for period in sorted({*periods, whole}, key=prod):
        found[period] = _lines(period, whole) & ~taken
        taken |= found[period]
    return found


def _lines(period: Period, whole: Sequence[int]) -> Tensor:
    """Return which lattice lines of a cell belong to a shorter period that divides it."""
    lines = torch.ones(tuple(whole), dtype=torch.bool)
    for axis, (p, n) in enumerate(zip(period, whole, strict=True)):
        belongs = torch.arange(n) % (n // p) == 0
        lines &= belongs.reshape(-1, *(1,) * (len(whole) - axis - 1))
    return lines
