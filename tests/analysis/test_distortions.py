"""Injected defects: their level, their place in the spectrum, what they leave alone."""

import numpy as np
import pytest
import torch

from checkerscope.analysis import distortions, lattice, spectra
from checkerscope.analysis.measures.checkerboard_energy import checkerboard_power
from checkerscope.analysis.measures.cyclic_coherence import cyclic_coherence

EVERY = distortions.ARTIFACTS | distortions.OTHERS


def pictures(count=4, side=48, seed=0):
    generator = torch.Generator().manual_seed(seed)
    f = torch.fft.fftfreq(side)
    gain = (f[:, None] ** 2 + f**2).clamp(min=1 / side**2) ** -0.5
    white = torch.randn(count, 3, side, side, generator=generator, dtype=torch.float64)
    smooth = torch.fft.ifft2(torch.fft.fft2(white) * gain).real
    return 0.5 + 0.15 * smooth / smooth.std()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("db", [-60, -30, -10])
def test_level_is_the_rms_of_the_change(name, db):
    x = pictures()
    change = EVERY[name](x, db, torch.Generator().manual_seed(1)) - x
    got = 20 * torch.log10(change.square().mean().sqrt() / distortions.contrast(x))
    assert float(got) == pytest.approx(db, abs=0.2)


@pytest.mark.parametrize("name", EVERY)
def test_shape_type_and_input_are_kept(name):
    x = pictures(count=2, side=40).float()
    before = x.clone()
    y = EVERY[name](x, -20, torch.Generator().manual_seed(0))
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert torch.equal(x, before)


@pytest.mark.parametrize(("name", "period"), [("checkerboard", 2), ("stripes", 2), ("grid", 4)])
def test_tones_have_their_power_on_the_lattice(name, period):
    x = pictures()
    change = EVERY[name](x, -20, torch.Generator()) - x
    assert checkerboard_power(change, period) == pytest.approx((0.1 * distortions.contrast(x)) ** 2, rel=1e-6)


def test_lines_of_the_grid_are_equal():
    x = pictures()
    coefficients = spectra.coefficients(distortions.grid(x, 0, torch.Generator()) - x)[0, 0].abs()
    lines = [coefficients[line] for line in lattice.lines((48, 48), 4)]
    assert torch.stack(lines).std() / torch.stack(lines).mean() < 1e-9


def test_replicas_follow_the_content_and_have_no_tone():
    x = pictures(count=32)
    change = distortions.replicas(x, -10, torch.Generator()) - x
    assert cyclic_coherence(change, 2, base=x) > 0.7
    assert (change * distortions.checkerboard(0 * x + x, 0, torch.Generator()).sub(x)).mean() == pytest.approx(
        0, abs=1e-3
    )


def test_blur_takes_high_frequencies_first():
    x = pictures()
    before, after = (spectra.mean_power(y).mean(0) for y in (x, distortions.blur(x, -20, torch.Generator())))
    f = spectra.frequencies((48, 48))
    assert (after / before)[f > 0.4].mean() < 0.5 < 0.9 < (after / before)[(f > 0.05) & (f < 0.1)].mean()


def test_noise_is_drawn_from_the_generator():
    x = pictures()
    one, same, other = (distortions.noise(x, -20, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_strong_blocking_leaves_few_coefficients():
    x = pictures(count=1)[:, :1, :8, :8]
    basis = np.linalg.matrix_rank(distortions.blocking(x, -5, torch.Generator())[0, 0].numpy() - 0.5, tol=1e-6)
    assert basis < 8


def test_constant_images_stay_constant():
    x = torch.full((2, 1, 16, 16), 0.25)
    for distort in distortions.ARTIFACTS.values():
        assert torch.equal(distort(x, -10, torch.Generator()), x)


def test_blocking_refuses_odd_blocks():
    with pytest.raises(ValueError, match="images: expected sides that are multiples of 8"):
        distortions.blocking(torch.rand(1, 1, 16, 20), -20, torch.Generator())
