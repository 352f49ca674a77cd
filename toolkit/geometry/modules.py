"""What a module does to the length of an axis: the formula with its numbers, and its nominal factor."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from torch import nn

from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.geometry.axis import Axis

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
POOLINGS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
UNPOOLINGS = (nn.MaxUnpool1d, nn.MaxUnpool2d, nn.MaxUnpool3d)


def formula(module: nn.Module, axis: int, before: int, after: int) -> str:
    """Return how `before` became `after` along one spatial axis, or nothing where the module keeps every length.

    >>> formula(nn.Conv2d(1, 1, 3, 2, 1), 0, 28, 14)
    'floor((28 + 2 * 1 - 1 * (3 - 1) - 1) / 2) + 1 = 14'
    """
    if isinstance(module, TRANSPOSED):
        return _transposed(module, axis, before, after).formula(before)
    if isinstance(module, (*CONVOLUTIONS, *POOLINGS)):
        if isinstance(getattr(module, "padding", 0), str):
            return f"padding {module.padding!r} = {after}"
        k, s, p, d = (_at(module, name, axis) for name in ("kernel_size", "stride", "padding", "dilation"))
        rounding = "ceil" if getattr(module, "ceil_mode", False) else "floor"
        return f"{rounding}(({before} + 2 * {p} - {d} * ({k} - 1) - 1) / {s}) + 1 = {after}"
    if isinstance(module, UNPOOLINGS):
        k, s, p = (_at(module, name, axis) for name in ("kernel_size", "stride", "padding"))
        return f"({before} - 1) * {s} - 2 * {p} + {k} = {after}"
    factor = nominal_factor(module, axis, before, after)
    if factor != 1 and before * factor == after:
        return f"{before} * {factor} = {after}" if factor > 1 else f"{before} / {1 / factor} = {after}"
    return "" if before == after else f"{before} -> {after}"


def nominal_factor(module: nn.Module | None, axis: int, before: int, after: int) -> Fraction:
    """Return the enlargement that a module stands for, whatever rounding and padding made of it.

    >>> nominal_factor(nn.MaxPool2d(2), 0, 15, 7), nominal_factor(nn.ConvTranspose2d(1, 1, 3, 2, 1), 0, 4, 7)
    (Fraction(1, 2), Fraction(2, 1))
    """
    if isinstance(module, (*CONVOLUTIONS, *POOLINGS)):
        return Fraction(1, _at(module, "stride", axis))
    if isinstance(module, (*TRANSPOSED, *UNPOOLINGS)):
        return Fraction(_at(module, "stride", axis))
    if isinstance(module, Upsampler):
        return Fraction(module.scale)
    if isinstance(module, nn.PixelShuffle):
        return Fraction(module.upscale_factor)
    if isinstance(module, nn.PixelUnshuffle):
        return Fraction(1, module.downscale_factor)
    if isinstance(module, nn.Upsample) and module.scale_factor is not None:
        return Fraction(_at(module, "scale_factor", axis)).limit_denominator(1000)
    # unknown: the nearest s or 1 / s
    ratio = Fraction(after, before) if after and before else Fraction(1)
    return Fraction(round(ratio)) if ratio >= 1 else 1 / Fraction(round(1 / ratio))


def _transposed(module: Any, axis: int, before: int, after: int) -> Axis:
    names = ("kernel_size", "stride", "padding", "output_padding", "dilation")
    k, s, p, op, d = (_at(module, name, axis) for name in names)
    found = Axis(k, s, p, op, d)
    # forward(x, output_size=...) overrides the output padding
    return replace(found, output_padding=op + after - found.output_size(before))


def _at(module: Any, name: str, axis: int) -> Any:
    value = getattr(module, name, 1)
    return value[axis] if isinstance(value, (tuple, list)) else value
