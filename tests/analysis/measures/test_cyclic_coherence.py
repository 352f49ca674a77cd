import math

import pytest
import torch
from torch.nn import functional as F

from checkerscope.analysis.measures.cyclic_coherence import cyclic_coherence, replica_power
from tests.builders import noise


def zero_insertion(images, scale):
    shape = [scale * n for n in images.shape[2:]]
    out = images.new_zeros(*images.shape[:2], *shape)
    out[(..., *(slice(None, None, scale),) * len(shape))] = images
    return out


@pytest.mark.parametrize(
    ("scale", "shape"), [(2, (64,)), (2, (24, 24)), (3, (20, 16)), (4, (16, 16)), (2, (8, 12, 10))]
)
def test_zero_insertion_has_full_replicas(scale, shape):
    images = zero_insertion(noise(40, 2, *shape), scale)
    assert cyclic_coherence(images, scale) == pytest.approx(1, abs=1e-6)
    assert replica_power(images, scale) == pytest.approx(scale ** len(shape) - 1, rel=1e-6)


def test_coherence_is_one_however_weak_the_replica():
    """Theory for one channel: read the coherence beside the replica's power only."""
    x = zero_insertion(noise(60, 1, 32, 32), 2)
    kernel = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)
    images = F.conv2d(x, (kernel[:, None] * kernel)[None, None] / 16)
    # what the window's leakage leaves at the band edges is not coherent
    assert cyclic_coherence(images, 2) > 0.95
    assert replica_power(images, 2) == pytest.approx(0.2, abs=0.15)


def test_nearest_has_the_replicas_of_its_transfer_function():
    x = noise(200, 1, 32, 32)
    images = F.interpolate(x, scale_factor=2, mode="nearest")
    w = torch.linspace(-0.25, 0.25, 2001, dtype=torch.float64) * 2 * math.pi
    inband = torch.cos(w / 2).square().mean()
    replica = torch.sin(w / 2).square().mean()
    total = inband + replica
    expected = float((total**2 - inband**2) / inband**2)
    assert replica_power(images, 2) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("images", [4, 16, 100])
def test_independent_bands_read_zero_whatever_the_number_of_images(images):
    values = [cyclic_coherence(noise(images, 1, 24, 24, seed=s), 2) for s in range(20)]
    assert abs(sum(values) / 20) < 0.02


def test_a_tone_is_no_replica():
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64).repeat(16, 16)
    assert abs(cyclic_coherence(noise(100, 1, 32, 32) + 3 * board, 2)) < 0.02


def test_a_replica_of_another_base_is_found_in_the_residual():
    content = F.interpolate(noise(50, 1, 16, 16), scale_factor=4, mode="bicubic")
    axis = torch.arange(64)
    board = (-1.0) ** (axis[:, None] + axis)
    residual = 0.1 * content * board + 0.1 * noise(50, 1, 64, 64, seed=2)
    assert replica_power(residual, 2, base=content) == pytest.approx(0.01, rel=0.2)
    assert abs(replica_power(0.1 * noise(50, 1, 64, 64), 2, base=content)) < 0.001


def test_one_image_is_not_enough_and_constants_read_zero():
    assert math.isnan(cyclic_coherence(noise(1, 1, 16, 16), 2))
    assert cyclic_coherence(torch.zeros(3, 1, 16, 16), 2) == 0.0
    assert replica_power(torch.zeros(3, 1, 16, 16), 2) == 0.0


@pytest.mark.parametrize(
    ("images", "base", "message"),
    [
        (torch.zeros(2, 1, 6, 16), None, "from 8"),
        (torch.full((2, 1, 16, 16), math.nan), None, "not finite"),
        (torch.zeros(2, 1, 16, 16), torch.zeros(2, 1, 16, 18), r"base: expected shape \(2, 1, 16, 16\)"),
    ],
)
def test_bad_input_is_refused(images, base, message):
    with pytest.raises(ValueError, match=message):
        cyclic_coherence(images, 2, base=base)
