"""Records of the data flow: the parameter behind a kernel, the operator behind a map, and the calls that enlarge."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor, nn

#: What writes to every second, third, ... place of a map.
ASSIGNMENT = "strided assignment"
#: Relative differences up to this are rounding.
TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Origin:
    """The parameter behind a tensor: its owner and name there, and the flat index of the element behind each value."""

    owner: nn.Module
    name: str
    index: Tensor


@dataclass(frozen=True, eq=False)
class Maker:
    """The operator that made a map.

    Attributes:
        operator: Name of the operator.
        path: Of the module in whose `forward` it ran.
        kernel: Origin of its kernel, one row per output channel, (C_out, C_in / groups, *k); None where it has none.
        groups: Channel groups.
        weight: The kernel itself, in the same layout.
        biases: Origins of what is added per channel.
    """

    operator: str
    path: str
    kernel: Origin | None = None
    groups: int = 1
    weight: Tensor | None = None
    biases: tuple[Origin, ...] = ()


@dataclass(frozen=True, eq=False)
class Content:
    """What is known of a map.

    Attributes:
        maker: The operator that made it.
        channel: Channel of that operator behind each value.
        growth: Product of the factors by which shuffles have enlarged it since.
    """

    maker: Maker
    channel: Tensor
    growth: int = 1


@dataclass(frozen=True, eq=False)
class Place:
    """Where a call stands: the module whose `forward` makes it, the function, and how many of it went before there."""

    path: str
    function: str
    ordinal: int


@dataclass(frozen=True, eq=False)
class Enlargement:
    """A call that enlarges.

    Attributes:
        operator: "transposed convolution", "shuffle", or the name of an operator without kernel.
        maker: Of a shuffle's input; of a transposed convolution itself.
        strides: Factor per spatial axis.
        place: Of the call.
        output: Shape of the enlarged map.
        is_flat: Whether the phases of the enlarged map are equal in the middle: here, on this input, no grid.
        order: Channel of the maker (C_out, prod(strides)) that feeds each phase, for a shuffle.
        dilation: Of a transposed convolution.
    """

    operator: str
    maker: Maker
    strides: tuple[int, ...]
    place: Place
    output: tuple[int, ...]
    is_flat: bool = False
    order: Tensor | None = None
    dilation: tuple[int, ...] = (1, 1, 1)

    @property
    def has_no_grid(self) -> bool:
        """Whether the phases of the map, or the phase gains of the kernel, are equal, rounding aside."""
        return self.is_flat or self.gain_spread <= TOLERANCE

    @property
    def gain_spread(self) -> float:
        """Largest difference of a channel pair's phase gains, relative to the largest gain; inf without a kernel."""
        weight, dims = self.maker.weight, len(self.strides)
        if weight is None:
            return inf
        gains = weight.double()
        if self.order is not None:
            gains = gains.flatten(2).sum(-1) if gains.dim() > 2 else gains
            gains = gains[self.order.to(gains.device)].transpose(1, 2)
        elif gains.dim() == dims + 2:
            for axis, stride in enumerate(self.strides, start=2):
                phase = torch.arange(gains.shape[axis], device=gains.device) * self.dilation[axis - 2] % stride
                sums = gains.new_zeros(*gains.shape[:axis], stride, *gains.shape[axis + 1 :])
                gains = sums.index_add(axis, phase, gains)
            gains = gains.flatten(2)
        spread = (gains.amax(-1) - gains.amin(-1)).max()
        return float(spread / gains.abs().max()) if gains.abs().max() > 0 else 0.0


def period(channel: Tensor, axis: int) -> int:
    """Return the smallest length after which the channels repeat along an axis."""
    side = channel.shape[axis]
    for length in range(1, side):
        if side % length == 0:
            repeated = channel.narrow(axis, 0, side - length)
            if torch.equal(repeated, channel.narrow(axis, length, side - length)):
                return length
    return side


def is_flat(out: Tensor, strides: tuple[int, ...]) -> bool:
    """Return whether the cell in the middle of the map is constant, rounding aside."""
    cell = out.detach()
    for axis, stride in enumerate(strides, start=2):
        cell = cell.narrow(axis, out.shape[axis] // 2 // stride * stride, min(stride, out.shape[axis]))
    cell = cell.flatten(2).double()
    spread = (cell - cell.mean(-1, keepdim=True)).abs().max()
    return bool(spread <= TOLERANCE * cell.abs().max())
