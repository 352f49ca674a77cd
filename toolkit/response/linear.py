"""The exact periodic response of an upsampler, found by impulses, whatever is inside.

Conventions. An upsampler of factor s answers an impulse at input cell c with h[j] = y[s c + j]; phase p of it is
r_p[m] = h[s m + p]; the *phase gain* is G_p = sum_m r_p[m], the level that phase p gives to a constant input of one.
The response to zero (bias) is no part of it; `phase_offsets` returns that. Everything is computed in float64 on the
CPU, on a copy in evaluation mode.

The functions for linear upsamplers take any `torch.nn.Module`: one that does not say its `scale`, `in_channels` or
`spatial_dims` is given them. Content-dependent upsamplers have a response at a given input only: see
`toolkit.response.local`, whose functions are offered here too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Context
from checkerscope.toolkit.response import impulses
from checkerscope.toolkit.response.local import jacobian_vector, phase_gains_at, vector_jacobian

__all__ = [
    "PredictedPower",
    "alias_gains",
    "jacobian_vector",
    "phase_energies",
    "phase_gains",
    "phase_gains_at",
    "phase_kernels",
    "phase_offsets",
    "predicted_power",
    "to_transposed_conv",
    "tone_fraction",
    "vector_jacobian",
]


def phase_gains(
    upsampler: nn.Module,
    *,
    scale: int | None = None,
    in_channels: int | None = None,
    spatial_dims: int | None = None,
    context: Context | None = None,
) -> Tensor:
    """Return the level of every output phase on a constant input of one, float64 (C_out, C_in, s, ..., s).

    Equal gains are the whole condition for a clean flat region. With a `context` (max-unpooling) the map is fixed
    but not periodic: the gain is then the mean over the map, and over the batch, of the answer to a constant.

    Args:
        upsampler: Any linear upsampler; padding does not matter.
        scale: Factor per axis where the module has no attribute `scale`.
        in_channels: Channels where the module has no attribute `in_channels`.
        spatial_dims: Spatial axes where the module has no attribute `spatial_dims`; 2 if neither says so.
        context: What the encoder saw, of the size that the map is fixed for.

    Raises:
        ValueError: If the module is not linear, not periodic with the scale, or does not say what it needs.

    Source: condition of Sugawara, Shiota and Kiya 2018 (equal steady states of the polyphase filters).

    >>> phase_gains(nn.Upsample(scale_factor=2), scale=2, in_channels=1).flatten()
    tensor([1., 1., 1., 1.], dtype=torch.float64)
    """
    if context is not None:
        return _gains_in_context(upsampler, context)
    box = impulses.linear_box(upsampler, scale, in_channels, spatial_dims)
    return impulses.kernels(box).flatten(2 + box.spatial_dims).sum(-1)


def phase_kernels(
    upsampler: nn.Module, *, scale: int | None = None, in_channels: int | None = None, spatial_dims: int | None = None
) -> Tensor:
    """Return r_p[m], float64 (C_out, C_in, s, ..., s, 2 R + 1, ..., 2 R + 1), m = -R ... R.

    R is the smallest reach that holds the kernel. Where the support is global (a Fourier-transform upsampler) the
    kernel is that of a periodic map of 2 R + 1 cells, R = 64, 16 or 8 for one, two or three axes.

    Raises:
        ValueError: As `phase_gains`.

    >>> phase_kernels(nn.Upsample(scale_factor=2, mode="linear"), scale=2, in_channels=1, spatial_dims=1)[0, 0]
    tensor([[0.0000, 0.7500, 0.2500],
            [0.2500, 0.7500, 0.0000]], dtype=torch.float64)
    """
    box = impulses.linear_box(upsampler, scale, in_channels, spatial_dims)
    return impulses.trim(impulses.kernels(box), box.spatial_dims)


def phase_offsets(
    upsampler: nn.Module, *, scale: int | None = None, in_channels: int | None = None, spatial_dims: int | None = None
) -> Tensor:
    """Return the answer to a zero input far from the border (the bias of every phase), float64 (C_out, s, ..., s).

    Raises:
        ValueError: As `phase_gains`.
    """
    box = impulses.linear_box(upsampler, scale, in_channels, spatial_dims)
    return box.offset(impulses.find_support(box)[1])


def phase_energies(
    upsampler: nn.Module, *, scale: int | None = None, in_channels: int | None = None, spatial_dims: int | None = None
) -> Tensor:
    """Return the noise gain of every phase, sum of r_p[m]^2 over taps and inputs, float64 (C_out, s, ..., s).

    It is the variance of phase p when the input is white with variance one and independent channels: unequal
    energies are phase variance, which ReLU turns into tone.

    Raises:
        ValueError: As `phase_gains`.

    >>> phase_energies(nn.Upsample(scale_factor=3, mode="linear"), scale=3, in_channels=1, spatial_dims=1)
    tensor([[0.5556, 1.0000, 0.5556]], dtype=torch.float64)
    """
    box = impulses.linear_box(upsampler, scale, in_channels, spatial_dims)
    return impulses.kernels(box).square().flatten(2 + box.spatial_dims).sum(-1).sum(1)


def alias_gains(
    upsampler: nn.Module,
    frequencies: Tensor,
    *,
    scale: int | None = None,
    in_channels: int | None = None,
    spatial_dims: int | None = None,
) -> Tensor:
    """Return H((v + m) / s) / s^d for m = 0 ... s - 1, complex128 (C_out, C_in, s, ..., s, F, ..., F).

    An input component exp(2 pi i v n) leaves as s components, at (v + m) / s cycles per output pixel; element m is
    the amplitude of each. m = 0 is the signal where |v| < 1/2, every other m a spectral replica; at v = 0 the others
    are the tone. H(f) = sum_j h[j] exp(-2 pi i f j), so that a gain of one keeps a constant as it is.

    Args:
        upsampler: Any linear upsampler.
        frequencies: v in cycles per input pixel, (F,), the same on every axis. For a global kernel only multiples of
            1 / (2 R + 1) are exact, see `phase_kernels`.
        scale: As `phase_gains`.
        in_channels: As `phase_gains`.
        spatial_dims: As `phase_gains`.

    Raises:
        ValueError: As `phase_gains`, or if `frequencies` has more than one axis.

    >>> alias_gains(nn.Upsample(scale_factor=2), torch.zeros(1), scale=2, in_channels=1).abs().flatten().round()
    tensor([1., 0., 0., 0.], dtype=torch.float64)
    """
    checks.shape("alias_gains: frequencies", frequencies, ("f",))
    box = impulses.linear_box(upsampler, scale, in_channels, spatial_dims)
    return _alias_gains(impulses.kernels(box), frequencies.to("cpu", torch.float64))


def to_transposed_conv(
    upsampler: nn.Module, *, scale: int | None = None, in_channels: int | None = None, spatial_dims: int | None = None
) -> nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d:
    """Return the transposed convolution of the same size and response, float64, equal away from the border.

    Its padding makes the output exactly `scale` times the input; at the border it assumes zeros outside, whatever
    the upsampler did there.

    Raises:
        ValueError: As `phase_gains`, or if the response to zero is not one value per channel (the bias of a
            sub-pixel convolution is one per phase).

    >>> linear = nn.Upsample(scale_factor=2, mode="linear")
    >>> to_transposed_conv(linear, scale=2, in_channels=1, spatial_dims=1).weight.data
    tensor([[[0.2500, 0.7500, 0.7500, 0.2500]]], dtype=torch.float64)
    """
    box = impulses.linear_box(upsampler, scale, in_channels, spatial_dims)
    kernel = impulses.kernels(box)
    bias = _one_bias(box, kernel.shape[-1] // 2)
    taps, padding = impulses.taps(kernel, box.scale)
    extra = tuple(2 * p - k + box.scale for p, k in zip(padding, taps.shape[2:], strict=True))
    module = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[box.spatial_dims]
    # skip_init: the constructor would draw weights from torch's global generator
    conv: nn.ConvTranspose2d = nn.utils.skip_init(
        module,
        *(box.in_channels, kernel.shape[0], tuple(taps.shape[2:]), box.scale, padding, extra),
        bias=bool(bias.any()),
        dtype=torch.float64,
    )
    state = {"weight": taps.transpose(0, 1), "bias": bias} if bias.any() else {"weight": taps.transpose(0, 1)}
    conv.load_state_dict(state)
    return conv


def tone_fraction(gains: Tensor) -> float:
    """Return the part of a constant input's output energy that is tone, 0 to 1, over all channel pairs of `gains`.

    sum var_p G_p / sum mean_p G_p^2, as for a constant input with independent zero-mean channels.
    Taps that are drawn independently with zero mean have 1 - 1 / s^d on average, whatever the kernel size.

    Args:
        gains: (C_out, C_in, s, ..., s), as `phase_gains` returns.

    Raises:
        ValueError: If all gains are zero.

    >>> tone_fraction(torch.tensor([[[1.0, 0.0]]]))
    0.5
    """
    levels = gains.double().flatten(2)
    energy = levels.square().mean(2).sum()
    if not energy > 0:
        raise checks.mismatch("tone_fraction: gains", "at least one that is not zero", "none")
    return float(levels.var(2, correction=0).sum() / energy)


@dataclass(frozen=True)
class PredictedPower:
    """Mean power of every output channel, in squared units of the output, (C_out,), float64.

    Attributes:
        signal: Of the input's own frequencies, constant left out.
        replica: Of their copies at other frequencies.
        tone: Of the grid on a flat region: variance of the level over the phases, bias included.
    """

    signal: Tensor
    replica: Tensor
    tone: Tensor


def predicted_power(
    upsampler: nn.Module,
    spectrum: Tensor,
    mean: Tensor,
    *,
    scale: int | None = None,
    in_channels: int | None = None,
    spatial_dims: int | None = None,
) -> PredictedPower:
    """Return what leaves an upsampler when a stationary input of known spectrum enters.

    Signal plus replica is the output's variance, averaged over the phases.

    Args:
        upsampler: Any linear upsampler.
        spectrum: Power per frequency, in the order of `torch.fft.fftfreq`, constant left out; sums over the
            frequencies to the variance. (C_in, F, ..., F) for independent channels, or the Hermitian cross-spectrum
            (C_in, C_in, F, ..., F). At even F the frequency -1/2 counts as signal.
        mean: Level of every input channel, (C_in,).
        scale: As `phase_gains`.
        in_channels: As `phase_gains`.
        spatial_dims: As `phase_gains`.

    Raises:
        ValueError: As `phase_gains`, or if a shape does not fit.
    """
    box = impulses.linear_box(upsampler, scale, in_channels, spatial_dims)
    c, d = box.in_channels, box.spatial_dims
    bins = spectrum.shape[-1] if spectrum.dim() else 0
    if spectrum.dim() == 1 + d:
        checks.shape("predicted_power: spectrum", spectrum, (c, *(bins,) * d))
        spectrum = torch.diag_embed(spectrum.movedim(0, -1)).movedim((-2, -1), (0, 1))
    checks.shape("predicted_power: spectrum", spectrum, (c, c, *(bins,) * d))
    checks.shape("predicted_power: mean", mean, (c,))
    kernel, order = impulses.kernels(box), torch.arange(bins, dtype=torch.float64)
    gains = _alias_gains(kernel, (order - bins * (order >= (bins + 1) // 2)) / bins)
    gains = gains.flatten(2 + d).flatten(2, 1 + d)  # o i m f
    cross = spectrum.to("cpu", gains.dtype).flatten(2)
    power = torch.einsum("oimf,ijf,ojmf->om", gains, cross, gains.conj()).real
    levels = torch.einsum("oi...,i->o...", kernel.flatten(2 + d).sum(-1), mean.cpu().double())
    levels = levels + box.offset(kernel.shape[-1] // 2)
    return PredictedPower(power[:, 0], power[:, 1:].sum(1), levels.flatten(1).var(1, correction=0))


def _alias_gains(kernel: Tensor, frequencies: Tensor) -> Tensor:
    d, s = kernel.dim() // 2 - 1, kernel.shape[2]
    phase, cells = torch.arange(s)[:, None], torch.arange(kernel.shape[-1]) - kernel.shape[-1] // 2
    turns = ((frequencies + phase) / s)[..., None, None] * (s * cells + phase)  # m f p n
    basis = torch.polar(torch.full_like(turns, 1 / s), -2 * torch.pi * turns)
    gains = kernel.to(basis.dtype)
    for axis in range(d):
        # consumes the axis pair (phase, cell) that comes first and appends (m, frequency) at the end
        gains = torch.tensordot(gains, basis, dims=([2, 2 + d - axis], [2, 3]))
    return gains.permute(0, 1, *(2 + 2 * a for a in range(d)), *(3 + 2 * a for a in range(d)))


def _gains_in_context(upsampler: nn.Module, context: Context) -> Tensor:
    """Return the mean over the map of the answer to a constant input: the map has no period of its own."""
    box = impulses.linear_box(upsampler)
    sample, factor = (context.features, box.scale) if context.indices is None else (context.indices, 1)
    if sample is None:
        raise checks.mismatch("phase_gains: context", "indices or features", "neither", "pass Context(indices=...)")
    low = [side // factor for side in sample.shape[2:]]
    x = torch.zeros(len(sample), box.in_channels, *low, dtype=torch.float64)
    return phase_gains_at(upsampler, x, context=context)


def _one_bias(box: impulses.BlackBox, reach: int) -> Tensor:
    offsets = box.offset(reach).flatten(1)
    if (offsets.amax(1) - offsets.amin(1)).max() > 1e-12 * offsets.abs().max():
        raise checks.mismatch(
            f"{box.name}: bias", "one value per output channel", "one that differs between phases", "equalise it first"
        )
    return offsets[:, 0]
