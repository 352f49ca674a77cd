"""Response: closed forms, brute-force Jacobians, Parseval, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import signal
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit import catalog, response
from checkerscope.toolkit.contracts.upsampler import Context, Upsampler
from checkerscope.toolkit.response import impulses
from tests.builders import UPSAMPLERS, build, context_for, noise

COMPONENTS = {c.name: c for c in catalog.describe(UPSAMPLERS)}
LINEAR = [name for name, c in COMPONENTS.items() if c.flags.get("linear", True)]
PERIODIC = [name for name in LINEAR if not COMPONENTS[name].flags.get("needs_context")]
CONTENT_DEPENDENT = [name for name in COMPONENTS if name not in LINEAR]


def supported(name: str, key: str, wanted: tuple[int, ...]) -> int:
    allowed = COMPONENTS[name].flags.get(key) or wanted
    return next(value for value in wanted if value in allowed)


def keys_cubic(t: Tensor, a: float = -0.75) -> Tensor:
    t = t.abs()
    near, far = (a + 2) * t**3 - (a + 3) * t**2 + 1, a * (t**3 - 5 * t**2 + 8 * t - 4)
    return torch.where(t <= 1, near, torch.where(t < 2, far, 0 * t))


def lanczos(t: Tensor, a: int = 3) -> Tensor:
    return torch.where(t.abs() < a, torch.sinc(t) * torch.sinc(t / a), 0 * t)


def interpolation(kernel, s: int, reach: int, *, renormalise: bool = False) -> Tensor:
    """r_p[m] of an interpolation with pixels as areas: output s c + p reads x[c - m] at distance (p+.5)/s-.5+m."""
    m = torch.arange(-reach, reach + 1, dtype=torch.float64)
    p = torch.arange(s, dtype=torch.float64)[:, None]
    taps = kernel((p + 0.5) / s - 0.5 + m)
    return taps / taps.sum(1, keepdim=True) if renormalise else taps


def from_taps(taps: Tensor, s: int, reach: int, start: int) -> Tensor:
    """r_p[m] of a filter whose first tap lands on output pixel `start` of the impulse's cell."""
    h = torch.zeros((2 * reach + 1) * s, dtype=torch.float64)
    h[reach * s + start : reach * s + start + len(taps)] = taps
    return h.reshape(2 * reach + 1, s).T


def dirichlet(s: int, n: int) -> Tensor:
    """Ideal periodic interpolation of n (odd) samples: sin(pi t) / (n sin(pi t / n)) at output pixels j / s."""
    m = torch.arange(n, dtype=torch.float64) - n // 2
    t = m + torch.arange(s, dtype=torch.float64)[:, None] / s
    kernel = torch.sin(torch.pi * t) / (n * torch.sin(torch.pi * t / n))
    return torch.where(t == 0, torch.ones_like(t), kernel)


def box_to_the_third(s: int) -> Tensor:
    return torch.from_numpy(np.convolve(np.convolve(np.ones(s), np.ones(s)), np.ones(s))) / s**2


def kaiser(s: int) -> Tensor:
    """StyleGAN3's filter by scipy, frequencies in cycles per low-resolution pixel; then every phase sums to one."""
    taps = 6 * s - s % 2
    filtered = torch.from_numpy(signal.firwin(taps, 0.5, width=2**0.3 - 1, fs=s))
    kernel = from_taps(filtered, s, 3, -(taps - s) // 2)
    return kernel / kernel.sum(1, keepdim=True)


CLOSED_FORMS = {
    "nearest": lambda s: torch.ones(s, 1, dtype=torch.float64),
    "bilinear": lambda s: interpolation(lambda t: (1 - t.abs()).clamp_min(0), s, 1),
    "bicubic": lambda s: interpolation(keys_cubic, s, 2),
    "lanczos": lambda s: interpolation(lanczos, s, 3, renormalise=True),
    "bspline": lambda s: from_taps(box_to_the_third(s), s, 1, 1 - s),
    "gaussian": lambda s: interpolation(
        lambda t: torch.where(t.abs() < 2, torch.exp(-2 * t**2), 0 * t), s, 2, renormalise=True
    ),
    "kaiser_sinc": lambda s: kaiser(s),
    "zero_insertion": lambda s: F.pad(torch.ones(1, 1, dtype=torch.float64), (0, 0, 0, s - 1)),
}


def same_kernels(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Compare r_p[m] of one axis; the shorter one is filled with zeros."""
    reach = max(found.shape[-1], expected.shape[-1]) // 2
    found, expected = (F.pad(k, (reach - k.shape[-1] // 2,) * 2) for k in (found, expected))
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_fixed_filters_have_their_closed_form(name: str, scale: int) -> None:
    expected = CLOSED_FORMS[name](scale)
    one = response.phase_kernels(build(name, 1, 1, scale=scale, spatial_dims=1))[0, 0]
    same_kernels(one, expected, 1e-10)
    two = response.phase_kernels(build(name, 1, 1, scale=scale, spatial_dims=2))[0, 0]
    torch.testing.assert_close(two, torch.einsum("am,bn->abmn", one, one), rtol=0, atol=1e-10)
    torch.testing.assert_close(response.phase_gains(build(name, 1, 1, scale=scale))[0, 0], two.sum((2, 3)))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_fourier_interpolation_is_the_dirichlet_kernel(scale: int) -> None:
    one = response.phase_kernels(build("fft", 1, 1, scale=scale, spatial_dims=1))[0, 0]
    torch.testing.assert_close(one, dirichlet(scale, 129), rtol=0, atol=1e-10)
    two = response.phase_kernels(build("fft", 1, 1, scale=scale))[0, 0]
    axis = dirichlet(scale, 33)
    torch.testing.assert_close(two, torch.einsum("am,bn->abmn", axis, axis), rtol=0, atol=1e-10)
    gains = response.phase_gains(build("fft", 1, 1, scale=scale))
    torch.testing.assert_close(gains, torch.ones_like(gains), rtol=0, atol=1e-10)


def test_haar_is_four_orthonormal_sign_patterns() -> None:
    kernels = response.phase_kernels(build("haar", 4, 1))[0, ..., 0, 0]
    rows = torch.tensor([[1.0, 1.0], [1.0, -1.0]]).double()
    expected = torch.stack([torch.outer(a, b) / 2 for a in rows for b in rows])
    torch.testing.assert_close(kernels, expected, rtol=0, atol=1e-10)


def test_additive_bilinear_is_bilinear_of_four_channels() -> None:
    kernels = response.phase_kernels(build("bilinear_additive", 8, 2))
    bilinear = response.phase_kernels(build("bilinear", 1, 1))[0, 0]
    for o, i in ((o, i) for o in range(2) for i in range(8)):
        torch.testing.assert_close(kernels[o, i], bilinear * (i // 4 == o), rtol=0, atol=1e-10)


def test_every_fixed_filter_is_compared_with_its_closed_form() -> None:
    def learns(name: str) -> bool:
        layer = build(name, 2, 2, spatial_dims=supported(name, "dims", (1, 2)), scale=supported(name, "scales", (2,)))
        return any("change" not in key for key, _ in layer.named_parameters())

    fixed = {name for name in PERIODIC if not learns(name)}
    assert fixed >= {*CLOSED_FORMS, "fft", "haar", "bilinear_additive"}


@pytest.mark.parametrize("name", PERIODIC)
def test_kernels_are_columns_of_the_brute_force_jacobian(name: str) -> None:
    d, s = supported(name, "dims", (1, 2)), supported(name, "scales", (3, 2))
    upsampler = build(name, 4, 2, scale=s, spatial_dims=d)
    kernels = response.phase_kernels(upsampler)
    reach = kernels.shape[-1] // 2
    n = kernels.shape[-1] + 6 if reach < impulses.LIMIT[d] else kernels.shape[-1]
    x = noise(1, upsampler.in_channels, *(n,) * d)
    for channel in range(upsampler.in_channels):
        tangent = torch.zeros_like(x)
        tangent[(0, channel, *(n // 2,) * d)] = 1
        column = response.jacobian_vector(upsampler, x, tangent)[0]
        for axis in range(d):
            column = column.narrow(1 + axis, (n // 2 - reach) * s, (2 * reach + 1) * s)
        expected = torch.stack([fold(column[o], s) for o in range(column.shape[0])])
        torch.testing.assert_close(kernels[:, channel], expected, rtol=0, atol=1e-10)


def fold(y: Tensor, s: int) -> Tensor:
    d = y.dim()
    y = y.reshape([length for side in y.shape for length in (side // s, s)])
    return y.permute(*(2 * a + 1 for a in range(d)), *(2 * a for a in range(d)))


def full_jacobian(upsampler: Upsampler, x: Tensor, context: Context | None) -> Tensor:
    y = torch.autograd.functional.jacobian(lambda z: upsampler(z, context), x)
    return y.reshape(-1, x.numel())


@pytest.mark.parametrize("name", list(COMPONENTS))
def test_products_agree_with_the_brute_force_jacobian(name: str) -> None:
    d, s = supported(name, "dims", (1, 2)), supported(name, "scales", (2,))
    upsampler = build(name, 2, 2, scale=s, spatial_dims=d)
    x = noise(1, 2, *(4,) * d)
    context = context_for(upsampler, x)
    matrix = full_jacobian(upsampler, x, context)
    tangent = noise(*x.shape, seed=2)
    if name == "dysample" and tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13):
        with pytest.raises(ValueError, match="expected operations with a second derivative"):
            response.jacobian_vector(upsampler, x, tangent, context)
        return
    product = response.jacobian_vector(upsampler, x, tangent, context)
    torch.testing.assert_close(product.flatten(), matrix @ tangent.flatten(), rtol=0, atol=1e-10)
    cotangent = noise(*product.shape, seed=3)
    back = response.vector_jacobian(upsampler, x, cotangent, context)
    torch.testing.assert_close(back.flatten(), matrix.T @ cotangent.flatten(), rtol=0, atol=1e-10)
    gains = response.phase_gains_at(upsampler, x, context=context)
    columns = matrix.reshape(*product.shape[1:], 2, -1).sum(-1)  # answers to a constant per input channel
    by_phase = torch.stack([fold(columns[o, ..., i], s).flatten(d).mean(-1) for o in range(2) for i in range(2)])
    torch.testing.assert_close(gains.flatten(0, 1), by_phase, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", PERIODIC)
def test_gains_at_a_point_are_the_gains_of_a_linear_upsampler(name: str) -> None:
    d, s = supported(name, "dims", (1, 2)), supported(name, "scales", (2,))
    upsampler = build(name, 4, 4, scale=s, spatial_dims=d)
    found = response.phase_gains_at(upsampler, noise(1, 4, *(17,) * d), margin=5)
    torch.testing.assert_close(found, response.phase_gains(upsampler), rtol=0, atol=1e-10)


def test_gains_of_a_transposed_convolution_are_sums_over_its_taps() -> None:
    conv = nn.ConvTranspose2d(3, 5, (5, 4), (2, 2), (2, 1), output_padding=(1, 0)).double()
    w = conv.weight.detach()
    expected = torch.zeros(5, 3, 2, 2, dtype=torch.float64)
    for i in range(2):
        for j in range(2):  # tap t lands on phase (t - padding) mod s
            expected[:, :, i, j] = w[:, :, i % 2 :: 2, (j + 1) % 2 :: 2].sum((2, 3)).T
    torch.testing.assert_close(response.phase_gains(conv, scale=2), expected, rtol=0, atol=1e-13)


def test_size_padding_and_bias_play_no_part() -> None:
    exact = nn.ConvTranspose2d(2, 2, 4, 2, 1).double()
    longer = nn.ConvTranspose2d(2, 2, 4, 2, 0, bias=False).double()
    longer.weight = exact.weight
    moved = response.phase_gains(exact, scale=2).roll((1, 1), (2, 3))
    torch.testing.assert_close(response.phase_gains(longer, scale=2), moved, rtol=0, atol=1e-13)


def test_weights_and_random_state_are_left_alone() -> None:
    upsampler = catalog.load(UPSAMPLERS, "transposed_conv")(2, 3)
    before, state = upsampler.conv.weight.detach().clone(), torch.get_rng_state()
    response.phase_gains(upsampler)
    response.to_transposed_conv(upsampler)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(upsampler.conv.weight, before)
    assert upsampler.training
    assert upsampler.conv.weight.dtype == torch.float32


@pytest.mark.parametrize("name", PERIODIC)
def test_alias_gains_are_the_transform_of_a_sine(name: str) -> None:
    d, s = supported(name, "dims", (1, 2)), supported(name, "scales", (3, 2))
    upsampler = build(name, 4, 4, scale=s, spatial_dims=d)
    reach = response.phase_kernels(upsampler).shape[-1] // 2
    bins = 2 * impulses.LIMIT[d] + 1 if reach == impulses.LIMIT[d] else 7
    gains = response.alias_gains(upsampler, torch.tensor([0.0, 2 / bins], dtype=torch.float64))
    # a sine through the kernel, periodic in `bins` cells: its output has lines at (v + m) / s only
    cells = torch.arange(-reach, reach + 1, dtype=torch.float64)
    kernels = response.phase_kernels(upsampler).to(torch.complex128)
    for axis in range(d):
        wave = torch.polar(torch.ones_like(cells), -2 * torch.pi * (2 / bins) * cells)
        kernels = torch.tensordot(kernels, wave, dims=([2 + d], [0]))
        assert kernels.dim() == 2 + 2 * d - axis - 1
    phases = torch.arange(s, dtype=torch.float64)
    for _ in range(d):
        turns = (2 / bins + phases)[:, None] / s * phases  # m p
        kernels = torch.tensordot(
            kernels, torch.polar(torch.full_like(turns, 1 / s), -2 * torch.pi * turns), ([2], [1])
        )
    torch.testing.assert_close(gains[(..., *(1,) * d)], kernels, rtol=0, atol=1e-10)
    level = response.phase_gains(upsampler).flatten(2).mean(2)
    torch.testing.assert_close(gains[(..., *(0,) * (2 * d))].real, level, rtol=0, atol=1e-10)


def test_alias_gains_agree_with_scipy() -> None:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]).double() / 4
    conv = nn.ConvTranspose1d(1, 1, 4, 2, 1, bias=False).double()
    conv.weight.data.copy_(taps)
    v = torch.linspace(0, 0.5, 9).double()
    gains = response.alias_gains(conv, v, scale=2, spatial_dims=1)[0, 0]
    for m in range(2):
        _, expected = signal.freqz(taps.numpy(), worN=2 * torch.pi * ((v + m) / 2).numpy())
        torch.testing.assert_close(gains[m].abs(), torch.from_numpy(abs(expected)) / 2, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in PERIODIC if "pixel_shuffle" not in n])
@pytest.mark.parametrize("d", [1, 2])
def test_equivalent_transposed_convolution_is_equal_inside(name: str, d: int) -> None:
    if d not in COMPONENTS[name].flags.get("dims", (1, 2, 3)):
        pytest.skip("the component is not defined for this number of axes")
    s = supported(name, "scales", (3, 2))
    upsampler = build(name, 4, 2, scale=s, spatial_dims=d)
    kernels = response.phase_kernels(upsampler)
    if kernels.shape[-1] // 2 == impulses.LIMIT[d]:
        pytest.skip("global support: equal on a torus only")
    try:
        conv = response.to_transposed_conv(upsampler)
    except ValueError as error:
        pytest.skip(str(error))
    n = kernels.shape[-1] + 8
    x = noise(2, 4, *(n,) * d)
    y, z = upsampler(x), conv(x)
    assert z.shape == y.shape
    for axis in range(2, 2 + d):
        y, z = (t.narrow(axis, s * (n // 2 - 2), 4 * s) for t in (y, z))
    torch.testing.assert_close(z, y, rtol=0, atol=1e-12)


def test_equivalent_kernel_of_sub_pixel_with_k_taps_has_s_k() -> None:
    upsampler = build("pixel_shuffle", 2, 3, scale=2, bias=False)
    assert response.to_transposed_conv(upsampler).weight.shape == (2, 3, 6, 6)
    biased = build("pixel_shuffle", 2, 3, scale=2)
    with pytest.raises(ValueError, match=r"bias: expected one value per output channel.*differs between phases"):
        response.to_transposed_conv(biased)


def test_offsets_are_the_bias_of_every_phase() -> None:
    upsampler = build("pixel_shuffle", 2, 3, scale=2)
    expected = upsampler.conv.bias.detach().reshape(3, 2, 2)
    torch.testing.assert_close(response.phase_offsets(upsampler), expected, rtol=0, atol=0)


def test_energies_of_bilinear_and_overlap() -> None:
    energies = response.phase_energies(build("bilinear", 1, 1, scale=3))[0]
    a = 5 / 9
    expected = torch.tensor([[a * a, a, a * a], [a, 1, a], [a * a, a, a * a]], dtype=torch.float64)
    torch.testing.assert_close(energies, expected)
    ones = build("transposed_conv", 1, 1, kernel_size=3)
    nn.init.ones_(ones.conv.weight)
    assert sorted(response.phase_energies(ones).flatten().tolist()) == [1, 2, 2, 4]


CASES = [(s, k) for s in (2, 3, 4) for k in (s, s + 1, 2 * s, 3 * s)]
DRAWS = {2: 16_000, 3: 6_000, 4: 3_000}  # standard error 0.4, 0.2 and 0.2 %


@pytest.mark.parametrize(("s", "k"), CASES)
def test_tone_of_independent_taps_is_one_minus_one_over_phases(s: int, k: int) -> None:
    gains = response.phase_gains(build("transposed_conv", 4, DRAWS[s] // 4, scale=s, kernel_size=k))
    assert response.tone_fraction(gains) == pytest.approx(1 - 1 / s**2, rel=0.01)


@pytest.mark.parametrize("s", [2, 3, 4])
@pytest.mark.parametrize("k", [1, 3])
def test_tone_of_sub_pixel_convolution_is_the_same(s: int, k: int) -> None:
    gains = response.phase_gains(build("pixel_shuffle", 4, DRAWS[s] // 4, scale=s, kernel_size=k))
    assert response.tone_fraction(gains) == pytest.approx(1 - 1 / s**2, rel=0.01)


def test_tone_of_one_and_three_axes() -> None:
    one = response.phase_gains(build("transposed_conv", 4, 10_000, spatial_dims=1))
    three = response.phase_gains(build("transposed_conv", 4, 125, spatial_dims=3))
    assert response.tone_fraction(one) == pytest.approx(1 / 2, rel=0.01)
    assert response.tone_fraction(three) == pytest.approx(7 / 8, rel=0.02)


@pytest.mark.parametrize("name", ["transposed_conv", "pixel_shuffle", "bilinear_conv", "nearest"])
def test_predicted_power_adds_up(name: str) -> None:
    upsampler = build(name, 2, 3, scale=2, spatial_dims=1)
    power = response.predicted_power(upsampler, torch.ones(2, 15).double() / 15, torch.tensor([0.3, -1.0]).double())
    total = response.phase_energies(upsampler).mean(1)  # white noise of variance one
    torch.testing.assert_close(power.signal + power.replica, total, rtol=1e-12, atol=0)
    x = torch.tensor([0.3, -1.0]).double().reshape(1, 2, 1).expand(1, 2, 20)
    levels = upsampler(x)[..., 20:22]
    torch.testing.assert_close(power.tone, levels.var(-1, correction=0)[0].detach(), rtol=1e-9, atol=1e-20)


def test_predicted_power_of_correlated_channels_is_measured_on_a_torus() -> None:
    n, conv = 12, nn.ConvTranspose1d(2, 1, 6, 2, 2, bias=False).double()
    mixing = noise(2, 2, n)  # channel, source, frequency
    cross = torch.einsum("ikf,jkf->ijf", mixing, mixing)
    power = response.predicted_power(conv, cross, torch.zeros(2), scale=2, spatial_dims=1)
    kernels = response.phase_kernels(conv, scale=2, spatial_dims=1)[0].to(torch.complex128)  # i p m
    cells = torch.arange(kernels.shape[-1]).double() - kernels.shape[-1] // 2
    turns = torch.arange(n)[:, None] / n * cells
    transfer = torch.einsum("fm,ipm->pif", torch.polar(torch.ones_like(turns), -2 * torch.pi * turns), kernels)
    each = torch.einsum("pif,ikf->pkf", transfer, mixing.to(torch.complex128)).abs().square()
    assert float(power.signal + power.replica) == pytest.approx(float(each.sum()) / 2, rel=1e-6)


def test_zero_insertion_has_as_many_equal_replicas_as_phases() -> None:
    bed_of_nails = nn.ConvTranspose2d(1, 1, 1, 2, output_padding=1, bias=False)
    nn.init.ones_(bed_of_nails.weight)
    torch.testing.assert_close(
        response.alias_gains(bed_of_nails, torch.rand(3), scale=2).abs(), torch.full((1, 1, 2, 2, 3, 3), 0.25).double()
    )
    power = response.predicted_power(bed_of_nails, torch.ones(1, 5, 5) / 25, torch.ones(1), scale=2)
    assert (float(power.signal), float(power.replica)) == pytest.approx((1 / 16, 3 / 16))
    assert float(power.tone) == pytest.approx(3 / 16)


def test_max_unpooling_is_averaged_over_its_context() -> None:
    unpool = build("max_unpool", 2, 2)
    x = noise(3, 2, 6, 4)
    context = context_for(unpool, x)
    gains = response.phase_gains(unpool, context=context)
    high = F.max_unpool2d(torch.ones_like(x), context.indices, 2)
    expected = fold(high.sum(0).sum(0), 2).flatten(2).mean(-1) / 3
    torch.testing.assert_close(gains.sum((0, 1)), expected)
    torch.testing.assert_close(gains.sum((2, 3)), torch.eye(2).double())


def test_more_axes_than_two_and_a_global_kernel() -> None:
    assert response.phase_gains(build("bilinear", 2, 2, spatial_dims=3)).shape == (2, 2, 2, 2, 2)

    class Ideal(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            n = x.shape[-1]
            t = torch.arange(2 * n, dtype=x.dtype)[:, None] / 2 - torch.arange(n)
            matrix = torch.sin(torch.pi * t) / (n * torch.sin(torch.pi * t / n))
            return x @ torch.where(t == 0, torch.ones_like(t), matrix).T

    kernels = response.phase_kernels(Ideal(), scale=2, in_channels=1, spatial_dims=1)
    torch.testing.assert_close(kernels[0, 0], dirichlet(2, 129), rtol=0, atol=1e-12)
    gains = response.phase_gains(Ideal(), scale=2, in_channels=1, spatial_dims=1)
    torch.testing.assert_close(gains, torch.ones(1, 1, 2).double(), rtol=0, atol=1e-12)


def test_a_layer_named_linear_is_no_declaration() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.ConvTranspose2d(1, 1, 2, 2, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x).relu()

    with pytest.raises(ValueError, match=r"Network: expected a linear module, got one that is not additive"):
        response.phase_gains(Network(), scale=2, in_channels=1)


def test_many_channels_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    upsampler = build("transposed_conv", 7, 3)
    whole = response.phase_kernels(upsampler)
    monkeypatch.setattr(impulses, "_VALUES", 2 * 7 * 18**2)  # two channels at a time
    assert torch.equal(response.phase_kernels(upsampler), whole)


@pytest.mark.parametrize("name", CONTENT_DEPENDENT)
def test_content_dependent_upsamplers_are_referred_to_their_linearisation(name: str) -> None:
    upsampler = build(name, 4, 4, spatial_dims=supported(name, "dims", (2, 1)))
    with pytest.raises(ValueError, match=r"expected a linear upsampler, got a content-dependent one; use"):
        response.phase_gains(upsampler)


def test_what_cannot_have_a_response_is_refused() -> None:
    drifting = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    with pytest.raises(ValueError, match=r"Upsample: expected a response that moves by 2 with.*align_corners"):
        response.phase_gains(drifting, scale=2, in_channels=1)
    with pytest.raises(ValueError, match=r"Upsample: expected a response that moves by 3"):
        response.phase_gains(nn.Upsample(scale_factor=2), scale=3, in_channels=1)
    with pytest.raises(ValueError, match=r"Upsample: scale: expected an integer, got none; pass scale="):
        response.phase_gains(nn.Upsample(scale_factor=2), in_channels=1)
    with pytest.raises(ValueError, match=r"in_channels: expected an integer, got none; pass in_channels="):
        response.phase_gains(nn.Upsample(scale_factor=2), scale=2)
    with pytest.raises(ValueError, match=r"spatial_dims: expected one of 1, 2, 3, got 4"):
        response.phase_gains(nn.Upsample(scale_factor=2), scale=2, in_channels=1, spatial_dims=4)
    rectified = nn.Sequential(nn.ConvTranspose2d(2, 2, 4, 2, 1), nn.ReLU())
    with pytest.raises(ValueError, match=r"Sequential: expected a linear module, got one that is not additive"):
        response.phase_gains(rectified, scale=2, in_channels=2)
    with pytest.raises(ValueError, match=r"max_unpool: context: expected the encoder's indices, got none"):
        response.phase_gains(build("max_unpool", 1, 1))
    with pytest.raises(ValueError, match=r"phase_gains: context: expected indices or features, got neither"):
        response.phase_gains(build("max_unpool", 1, 1), context=Context())


def test_arguments_that_do_not_fit_are_refused() -> None:
    nearest, x = build("nearest", 1, 1), noise(1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"alias_gains: frequencies: expected shape \(f\), got \(2, 2\)"):
        response.alias_gains(nearest, torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"predicted_power: spectrum: expected shape \(1, 5, 5\), got \(2, 5, 5\)"):
        response.predicted_power(nearest, torch.ones(2, 5, 5), torch.ones(1))
    with pytest.raises(ValueError, match=r"predicted_power: spectrum: expected shape \(1, 1, 5, 5\), got \(5,\)"):
        response.predicted_power(nearest, torch.ones(5), torch.ones(1))
    with pytest.raises(ValueError, match=r"predicted_power: mean: expected shape \(1\), got \(2,\)"):
        response.predicted_power(nearest, torch.ones(1, 5, 5), torch.ones(2))
    with pytest.raises(ValueError, match=r"tone_fraction: gains: expected at least one that is not zero, got none"):
        response.tone_fraction(torch.zeros(1, 1, 2, 2))
    with pytest.raises(ValueError, match=r"jacobian_vector: tangent: expected shape \(1, 1, 4, 4\)"):
        response.jacobian_vector(nearest, x, noise(1, 1, 5, 4))
    with pytest.raises(ValueError, match=r"vector_jacobian: cotangent: expected shape \(1, 1, 8, 8\)"):
        response.vector_jacobian(nearest, x, x)
    with pytest.raises(ValueError, match=r"phase_gains_at: margin: expected less than half of every side, got 2"):
        response.phase_gains_at(nearest, x, margin=2)
