"""Zero insertion: every value followed by s - 1 zeros along every axis."""

from __future__ import annotations

from torch import Tensor

from checkerscope.toolkit.contracts.upsampler import Context, FixedUpsampler


class ZeroInsertion(FixedUpsampler):
    """y[s m] = x[m], zero elsewhere ("bed of nails"): the purest grid, with 1 - 1 / s^d of its energy in the tones."""

    label = "Zero insertion"
    source = "textbook (expander); Schwarz 2021, arXiv:2111.02447"
    linear = True
    convex = False
    layouts = ("conv",)

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the values with zeros between them."""
        y = x.new_zeros(*x.shape[:2], *(self.scale * side for side in x.shape[2:]))
        kept = y
        for axis in range(2, y.dim()):
            kept = kept.unflatten(axis, (-1, self.scale)).select(axis + 1, 0)
        kept.copy_(x)
        return y
