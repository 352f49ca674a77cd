"""Filters for enlargement: their taps, in float64, and their application to maps.

Conventions. The taps of one axis sum to the scale s, so that a constant keeps its value. A filter with k = s (mod 2)
taps is centred on the pixel seen as an area: tap n lies at t = (n - (k - 1) / 2) / s low-resolution pixels from the
middle, and output j takes x[i] with the tap of t = (j + 0.5) / s - 0.5 - i. Any other k leaves half an output pixel.
Filters of several axes are outer products.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import exact_padding

BORDERS = ("zeros", "replicate")

#: Taps of all axes together up to which one pass is faster than one pass per axis (forward + backward, one CPU
#: thread, 16x32x32x32: 36 taps 1.0 to 1.3 times faster, 64 taps 1.0 to 1.9 times slower).
ONE_PASS = 49


class Constant(nn.Module):
    """A constant tensor that belongs to a module: kept in float64, given in the module's dtype on its device.

    A plain buffer would be rounded by the first conversion to float32 for good, and a constant that follows from the
    options has no place in a state dict.
    """

    cast: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.exact = value.detach().to(torch.float64)
        self.register_buffer("cast", self.exact.to(torch.get_default_dtype()), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Constant:
        super()._apply(fn, recurse)
        self.cast = self.exact.to(self.cast)
        return self

    def forward(self) -> Tensor:
        """Return the tensor."""
        return self.cast


def box(scale: int) -> Tensor:
    """Return H0: s ones, the filter of the nearest neighbour.

    >>> box(3)
    tensor([1., 1., 1.], dtype=torch.float64)
    """
    return torch.ones(scale, dtype=torch.float64)


def sampled(profile: Callable[[Tensor], Tensor], support: float, scale: int) -> Tensor:
    """Return the centred taps of a continuous `profile`(t) that vanishes for |t| >= `support` low-resolution pixels.

    >>> sampled(triangle, 1.0, 2) * 4
    tensor([1., 3., 3., 1.], dtype=torch.float64)
    """
    k = math.ceil(2 * support * scale)  # the most taps that lie strictly inside the support ...
    k -= (k - scale) % 2  # ... and are centred
    return profile((torch.arange(k, dtype=torch.float64) - (k - 1) / 2) / scale)


def triangle(t: Tensor) -> Tensor:
    """Return the profile of linear interpolation, support 1."""
    return (1 - t.abs()).clamp_min(0)


def keys(t: Tensor, a: float) -> Tensor:
    """Return the profile of cubic convolution with parameter `a`, support 2.

    Source: Keys 1981, doi:10.1109/TASSP.1981.1163711, equation 4 with general a; a = -0.5 there.

    >>> keys(torch.tensor([0.0, 1.0, 1.5]), -0.5)
    tensor([ 1.0000,  0.0000, -0.0625])
    """
    t = t.abs()
    inner = (a + 2) * t**3 - (a + 3) * t**2 + 1
    outer = a * (t**3 - 5 * t**2 + 8 * t - 4)
    return torch.where(t <= 1, inner, torch.where(t < 2, outer, torch.zeros_like(t)))


def lanczos(t: Tensor, lobes: int) -> Tensor:
    """Return the profile of the Lanczos filter, sinc(t) sinc(t / lobes), support `lobes`.

    Source: Duchon 1979, doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2.
    """
    return torch.where(t.abs() < lobes, torch.sinc(t) * torch.sinc(t / lobes), torch.zeros_like(t))


def gaussian(t: Tensor, sigma: float) -> Tensor:
    """Return exp(-t^2 / (2 sigma^2)), `sigma` in low-resolution pixels."""
    return torch.exp(-0.5 * (t / sigma) ** 2)


def bspline(order: int, scale: int) -> Tensor:
    """Return the box of s ones convolved `order` times with itself, divided by s^order: (order + 1)(s - 1) + 1 taps.

    It has zeros of multiplicity order + 1 at every alias frequency m / s. It is centred where order * (s - 1) is even,
    else shifted by half an output pixel.

    >>> bspline(0, 2), bspline(2, 2) * 4
    (tensor([1., 1.], dtype=torch.float64), tensor([1., 3., 3., 1.], dtype=torch.float64))
    """
    taps = box(scale)
    for _ in range(order):
        taps = convolve(taps, box(scale)) / scale
    return taps


def kaiser_sinc(scale: int, taps: int, cutoff: float, half_width: float) -> Tensor:
    """Return a Kaiser-windowed sinc of `taps` taps, frequencies in cycles per low-resolution pixel.

    Args:
        scale: Enlargement; 1 needs no filter and gives one tap.
        taps: Length of the filter.
        cutoff: Frequency at which the gain is one half.
        half_width: Half of the transition band, from which the window's shape follows.

    Source: Karras 2021, arXiv:2106.12423, appendix C; the same taps as `scipy.signal.firwin`.
    """
    if scale == 1:
        return box(1)
    attenuation = 2.285 * (taps - 1) * math.pi * 4 * half_width / scale + 7.95  # dB; Kaiser's formula for the length
    n = torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2
    window = torch.special.i0(_kaiser_beta(attenuation) * (1 - (2 * n / max(taps - 1, 1)) ** 2).clamp_min(0).sqrt())
    filtered = torch.sinc(2 * cutoff / scale * n) * window
    return filtered * (scale / filtered.sum())


def _kaiser_beta(attenuation: float) -> float:
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


def phase_gains(taps: Tensor, scale: int) -> Tensor:
    """Return G_p = sum over m of taps[s m + p], shape (s,).

    >>> phase_gains(torch.tensor([1.0, 2.0, 3.0]), 2)
    tensor([4., 2.])
    """
    padded = F.pad(taps, (0, -taps.shape[0] % scale))
    return padded.reshape(-1, scale).sum(0)


def with_equal_phases(taps: Tensor, scale: int) -> Tensor:
    """Return `taps` with every phase divided by its gain, so that all gains are 1 and a constant leaves no tone.

    Raises:
        ValueError: If a phase has no gain.
    """
    gains = phase_gains(taps, scale)
    if bool((gains.abs() < 1e-9).any()):
        raise checks.mismatch("filter: phase gains", "values other than 0", gains.tolist(), "use a longer filter")
    return taps / gains[torch.arange(taps.shape[0]) % scale]


def convolve(first: Tensor, second: Tensor) -> Tensor:
    """Return the full convolution of two one-dimensional filters.

    >>> convolve(torch.ones(2), torch.tensor([1.0, 2.0]))
    tensor([1., 3., 2.])
    """
    return F.conv1d(first[None, None], second.flip(0)[None, None], padding=second.shape[0] - 1)[0, 0]


def outer(taps: Tensor, dims: int) -> Tensor:
    """Return the outer product of `dims` copies of `taps`, shape (k,) * dims.

    >>> outer(torch.tensor([1.0, 2.0]), 2)
    tensor([[1., 2.],
            [2., 4.]])
    """
    kernel = taps
    for _ in range(dims - 1):
        kernel = kernel[..., None] * taps
    return kernel


def along_axes(weight: Tensor, matrix: Tensor) -> Tensor:
    """Return `weight` (a, b, *k) with every spatial axis multiplied by `matrix` (rows, k): shape (a, b, *rows)."""
    for axis in range(2, weight.dim()):
        weight = (weight.transpose(axis, -1) @ matrix.T).transpose(axis, -1)
    return weight


def convolution_matrix(taps: Tensor, length: int) -> Tensor:
    """Return the matrix of shape (length + k - 1, length) that convolves a filter of `length` taps with `taps`.

    >>> convolution_matrix(torch.ones(2), 2)
    tensor([[1., 0.],
            [1., 1.],
            [0., 1.]])
    """
    rows = torch.arange(length + taps.shape[0] - 1)[:, None] - torch.arange(length)
    inside = (rows >= 0) & (rows < taps.shape[0])
    return torch.where(inside, taps[rows.clamp(0, taps.shape[0] - 1)], torch.zeros((), dtype=taps.dtype))


def correlation(dims: int) -> Callable[..., Tensor]:
    """Return torch's convolution function for `dims` axes, which correlates."""
    return {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[dims]


def transposed(dims: int) -> Callable[..., Tensor]:
    """Return torch's transposed convolution function for `dims` axes, which convolves."""
    return {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[dims]


def enlarge(x: Tensor, taps: Tensor, scale: int, *, border: str = "replicate") -> Tensor:
    """Return `x` with s - 1 zeros inserted between its values and convolved with `taps` along every axis.

    Args:
        x: Map of shape (N, C, *spatial).
        taps: Filter of one axis, k values; every channel and axis gets the same.
        scale: Enlargement s; the output has s times every side.
        border: `replicate`: the map continues with its border values; `zeros`: it ends.

    Raises:
        ValueError: If the border is unknown.
    """
    checks.choice("filter: border", border, BORDERS)
    dims, k = x.dim() - 2, taps.shape[0]
    padding, output_padding = exact_padding(k, scale)
    reach = -(-padding // scale) if border == "replicate" else 0
    if reach:
        x = F.pad(x, (reach,) * (2 * dims), mode="replicate")
    crop = padding + scale * reach
    if k**dims <= ONE_PASS:
        return _enlarge_axes(x, outer(taps, dims), (scale,) * dims, (crop,) * dims, (output_padding,) * dims)
    for axis in range(dims):
        kernel = taps.reshape(_at(axis, k, dims))
        only = [_at(axis, value, dims, fill) for value, fill in ((scale, 1), (crop, 0), (output_padding, 0))]
        x = _enlarge_axes(x, kernel, *only)
    return x


def smooth(x: Tensor, taps: Tensor, bias: Tensor | None, outside: int) -> Tensor:
    """Return `x` convolved with `taps` along every axis, plus `bias` per channel.

    Args:
        x: Map of shape (N, C, *spatial).
        taps: Filter of one axis, k values.
        bias: C values, or none.
        outside: Zeros put around the map; the sides become side + 2 outside - k + 1.
    """
    dims, channels = x.dim() - 2, x.shape[1]
    taps = taps.flip(0)  # torch's convolution is a correlation
    if taps.shape[0] ** dims <= ONE_PASS:
        kernel = outer(taps, dims).expand(channels, 1, *(-1,) * dims)
        return correlation(dims)(x, kernel, bias, padding=outside, groups=channels)
    for axis in range(dims):
        kernel = taps.reshape(_at(axis, -1, dims)).expand(channels, 1, *(-1,) * dims)
        last = bias if axis == dims - 1 else None
        x = correlation(dims)(x, kernel, last, padding=_at(axis, outside, dims, 0), groups=channels)
    return x


def _at(axis: int, value: int, dims: int, fill: int = 1) -> tuple[int, ...]:
    return tuple(value if a == axis else fill for a in range(dims))


def _enlarge_axes(
    x: Tensor, kernel: Tensor, stride: Sequence[int], padding: Sequence[int], output_padding: Sequence[int]
) -> Tensor:
    channels = x.shape[1]
    weight = kernel.expand(channels, 1, *kernel.shape)
    return transposed(kernel.dim())(x, weight, None, stride, padding, output_padding, channels)
