"""What is known of one call that enlarges its map, and the numbers that it multiplies with."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor


@dataclass(frozen=True)
class Taps:
    """The numbers that an enlargement multiplies with.

    Attributes:
        weight: (C_in, C_out / g, *k) for a transposed convolution, (C_out s^d, C_in / g, *k) for a shuffle.
        strides: Factor per kernel axis, or per shuffled axis.
        dilation: Of the transposed convolution, per axis.
        order: For a shuffle, which channel feeds which output channel (rows) and phase (columns); else None.
        groups: Channel groups.
    """

    weight: Tensor
    strides: tuple[int, ...]
    dilation: tuple[int, ...] = ()
    order: Tensor | None = None
    groups: int = 1


@dataclass(frozen=True)
class Growth:
    """That a call enlarges its map.

    Attributes:
        kind: What it is, in the field's words.
        scale: Factor per spatial axis of the model.
        blocks: Factor per axis of the output for a reshape, whose kind the values decide; else empty.
        taps: Its numbers, None where it has none of its own.
        drifts: The phase pattern moves across the map, so that there is no fixed lattice.
        note: What else the user should know.
    """

    kind: str
    scale: tuple[Fraction, ...]
    blocks: tuple[tuple[int, int], ...] = ()
    taps: Taps | None = None
    drifts: bool = False
    note: str = ""
