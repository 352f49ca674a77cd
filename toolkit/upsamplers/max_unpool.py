"""Max-unpooling: every value returns to where the encoder's max-pooling found it, zeros elsewhere."""

from __future__ import annotations

from math import prod

from torch import Tensor

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context, FixedUpsampler


class MaxUnpool(FixedUpsampler):
    """y[indices[i]] = x[i], zero elsewhere: 1 - 1 / s^d of the output is zero.

    The channel change comes before the unpooling, so C_out must be the number of channels that the encoder pooled.
    A scatter rather than `torch.nn.functional.max_unpool2d`, which refuses to run in deterministic mode.
    """

    label = "Max-unpool"
    source = "Zeiler 2014, arXiv:1311.2901; Badrinarayanan 2015, arXiv:1511.00561"
    linear = True
    convex = False
    layouts = ("conv",)
    needs_context = "indices"

    def enlarge(self, x: Tensor, context: Context | None) -> Tensor:
        """Return the unpooled map.

        Raises:
            ValueError: If the indices have another shape than the map, or point into a map of another size.
        """
        if context is None or context.indices is None:
            raise checks.mismatch("max_unpool: context", "the encoder's indices", "none", "pass Context(indices=...)")
        checks.shape("max_unpool: indices", context.indices, tuple(x.shape), "out_channels must be the pooled channels")
        high = tuple(self.scale * length for length in x.shape[2:])
        if context.features is not None and tuple(context.features.shape[2:]) != high:
            got = tuple(context.features.shape[2:])
            raise checks.mismatch(
                "max_unpool: map before pooling", f"sides {high}", got, "crop to multiples of the scale"
            )
        flat = x.new_zeros(*x.shape[:2], prod(high)).scatter(2, context.indices.flatten(2), x.flatten(2))
        return flat.unflatten(2, high)
