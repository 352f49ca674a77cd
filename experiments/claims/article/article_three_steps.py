"""Insert zeros, pad, rotate, convolve: how far do the article's three steps carry?"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from checkerscope.experiments.claims.article._sweep import configurations
from checkerscope.experiments.verdicts.contract import Verdict, judge, pick, share
from checkerscope.toolkit.geometry.reference import insert_zeros, pad_ends

LABEL = "Three steps"
SOURCE = "founding article, section 2.2"
KIND = "article"
STATEMENT = (
    "A transposed convolution puts stride - 1 zeros between the inputs, pads by kernel_size - padding - 1, and"
    " convolves with the kernel rotated by 180 degrees."
)


def check(budget: str) -> Verdict:
    """Follow the steps literally for random configurations and compare with torch."""
    matched = {"plain": [], "dilated": [], "output_padding": [], "several_channels": []}  # type: dict[str, list[bool]]
    for seed, c in enumerate(configurations(pick(budget, smoke=150, full=1500), seed=1)):
        g = torch.Generator().manual_seed(seed)
        one = {"stride": c.stride, "padding": c.padding}
        x = torch.randn(1, 1, 5, 6, generator=g, dtype=torch.float64)
        w = torch.randn(1, 1, *c.kernel, generator=g, dtype=torch.float64)
        matched["plain"].append(_same(F.conv_transpose2d(x, w, **one), _steps(x, w, c.stride, c.padding)))  # type: ignore[arg-type]
        if max(c.dilation) > 1 and max(c.kernel) > 1:
            expected = F.conv_transpose2d(x, w, None, c.stride, c.padding, dilation=c.dilation)
            matched["dilated"].append(_same(expected, _steps(x, w, c.stride, c.padding, c.dilation)))
        if max(c.output_padding) and all(op < s for op, s in zip(c.output_padding, c.stride, strict=True)):
            expected = F.conv_transpose2d(x, w, None, c.stride, c.padding, c.output_padding)
            matched["output_padding"].append(_same(expected, _steps(x, w, c.stride, c.padding)))
        many = torch.randn(3, 3, *c.kernel, generator=g, dtype=torch.float64)
        x = x.expand(1, 3, -1, -1)
        matched["several_channels"].append(
            _same(F.conv_transpose2d(x, many, **one), _steps(x, many, c.stride, c.padding))  # type: ignore[arg-type]
        )
    return Verdict(
        judge(*(all(hits) for hits in matched.values())),
        {f"correct_{name}": share(sum(hits), len(hits)) for name, hits in matched.items()},
        "For one channel, dilation 1 and no output padding the steps are exact. The padding ignores dilation and output"
        " padding, and for several channels the kernel's input and output channels have to be swapped as well.",
        "Pad each end by dilation (kernel_size - 1) - padding, the far end by output_padding more; swap the kernel's"
        " input and output channels within each group, rotate it, and convolve with the same dilation.",
        key="correct_several_channels",
    )


def _steps(
    x: Tensor, w: Tensor, stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> Tensor:
    margins = [(k - p - 1, k - p - 1) for k, p in zip(w.shape[2:], padding, strict=True)]
    padded = pad_ends(insert_zeros(x, stride), margins)
    if any(side <= d * (k - 1) for side, d, k in zip(padded.shape[2:], dilation, w.shape[2:], strict=True)):
        return x.new_zeros(0)  # nothing is left to convolve
    return F.conv2d(padded, torch.rot90(w, 2, dims=[2, 3]), dilation=dilation)


def _same(expected: Tensor, got: Tensor) -> bool:
    return expected.shape == got.shape and torch.allclose(expected, got, atol=1e-12)
