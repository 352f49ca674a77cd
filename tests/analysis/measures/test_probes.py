"""Level sweep and decoder probe: tone on inputs that are not data."""

import functools
import math

import pytest
import torch
from torch import nn

from checkerscope.analysis.measures import decoder_probe as probe
from checkerscope.analysis.measures import level_sweep as sweep
from checkerscope.analysis.measures import tone
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit.networks.autoencoder import Autoencoder
from checkerscope.toolkit.upsamplers.nearest_conv import NearestConv
from checkerscope.toolkit.upsamplers.transposed_conv import TransposedConv

BOARD = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(64, 64)


class Linear(nn.Module):
    """Adds a board whose amplitude is 0.01 times the image's distance from the middle grey."""

    def __init__(self, power=1.0):
        super().__init__()
        self.power = power

    def forward(self, x):
        return x + 0.01 * (x - 0.5).abs() ** self.power * BOARD[: x.shape[-2], : x.shape[-1]]


def of(model, margin=4, **own):
    target = torch.full((1, 1, 48, 48), 0.4)
    return Trial(model, target, target, 2, 4, margin, **own)


def test_a_linear_network_has_a_ratio_of_one():
    found = sweep.measure(of(Linear()))
    assert found["level_sweep.ratio"] == pytest.approx(1, rel=1e-3)
    expected = 0.01 * (torch.tensor(sweep.LEVELS) - 0.5).abs()
    assert found["level_sweep.tone"] == pytest.approx(expected.numpy(), rel=1e-3, abs=1e-7)


def test_a_grid_that_grows_faster_than_the_level_has_more():
    assert sweep.measure(of(Linear(2.0)))["level_sweep.ratio"] > 2


def test_a_clean_network_has_no_ratio():
    found = sweep.measure(of(nn.Identity()))
    assert math.isnan(found["level_sweep.ratio"])
    assert found["level_sweep.beyond_rms"] < 1e-7


@pytest.mark.parametrize("final_conv", [True, False])
def test_the_probe_reads_the_tone_of_flat_images_without_any(final_conv):
    torch.manual_seed(0)
    model = Autoencoder(functools.partial(TransposedConv, kernel_size=3), image_channels=1, final_conv=final_conv)
    trial = of(model.eval(), margin=16)
    assert probe.measure(trial)["decoder_probe.rms"] > 1e-4
    assert probe.measure(trial)["decoder_probe.rms"] == pytest.approx(tone.measure(trial)["tone.flat_rms"], rel=1e-5)


def test_a_clean_decoder_reads_zero():
    torch.manual_seed(0)
    model = Autoencoder(NearestConv, image_channels=1).eval()
    assert probe.measure(of(model))["decoder_probe.rms"] < 1e-7


def test_a_decoder_with_context_is_undefined():
    found = probe.measure(of(nn.Identity(), needs_context=True))
    assert all(math.isnan(value) for value in found.values())


def test_latents_must_be_vectors():
    with pytest.raises(ValueError, match=r"latents: expected one position, \(n, c, 1, ...\), got \(1, 2, 3, 3\)"):
        probe.decoder_probe(nn.Identity(), torch.zeros(1, 2, 3, 3), 2)
