"""What the audit says of layers whose tone, period, overlap and phase gains are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from checkerscope.analysis.audit.procedure import audit
from tests.analysis.audit.decoders import Lambda, by_reshape, conv, dirty, fir, icnr, inputs, transposed, with_weight


@pytest.mark.parametrize(("dims", "scale"), [(1, 2), (1, 4), (2, 2), (2, 3), (3, 2)])
def test_own_tone_of_random_weights_is_one_minus_one_over_phases(dims: int, scale: int) -> None:
    torch.manual_seed(5)
    module = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1]
    layer = module(128, 512, scale, scale, bias=False)
    with torch.no_grad():
        layer.weight.normal_()
    report = audit(layer, inputs(1, 128, *(4,) * dims))
    share = 10 ** (report.layers[0].own_db / 10)
    assert share == pytest.approx(1 - 1 / scale**dims, rel=0.05)
    assert report.layers[0].gain_spread ** 2 == pytest.approx(1 - 1 / scale**dims, rel=0.05)


def test_a_known_board_reads_its_share_of_the_contrast() -> None:
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16)

    def run(self, x):
        y = F.interpolate(x, scale_factor=2)
        return y - y.mean((2, 3), keepdim=True) + 0.01 * self.board

    x = inputs(1, 1, 16, 16)
    report = audit(Lambda(run, board=board), x)
    inner = F.interpolate(x, scale_factor=2)[..., 8:24, 8:24]
    assert report.contrast**2 >= float(inner.var(correction=0)) * 0.9
    assert report.tone_db == pytest.approx(20 * np.log10(0.01 / report.contrast), abs=0.01)


def test_layers_add_up_to_the_tone() -> None:
    """The last layer's part has the finest lattice only, so powers at period 4 and 2 split between the layers."""
    report = audit(dirty(), inputs(1, 6, 16, 16))
    assert [layer.period for layer in report.layers] == [(2, 2), (4, 4)]
    assert report.tones["flat"].keys() == {"2", "4"}
    total = sum(10 ** (value / 10) for value in report.tones["flat"].values())
    assert 10 * np.log10(total) == pytest.approx(report.tone_db, abs=1e-6)
    assert report.worst is not None
    assert f"{report.layers[report.worst].path} (transposed convolution, k4 s2)" in report.verdict


def test_periods_accumulate_and_shrink_with_strides() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(transposed(4, 2), nn.Conv2d(6, 6, 3, 2, 1), transposed(6, 3), transposed(4, 2), conv())
    report = audit(model, inputs(1, 6, 16, 16))
    assert [layer.period for layer in report.layers] == [(2, 2), (3, 3), (6, 6)]
    assert report.period == (6, 6)


def test_scale_may_differ_between_axes() -> None:
    torch.manual_seed(0)
    report = audit(nn.ConvTranspose2d(6, 6, (3, 4), (1, 4), (1, 0)), inputs(1, 6, 16, 16))
    assert report.layers[0].scale == (1, 4)
    assert list(report.tones["flat"]) == ["1x4"]
    assert not report.clean


def test_cancelled_layers_are_named() -> None:
    torch.manual_seed(0)
    report = audit(nn.Sequential(transposed(4, 2), fir([1, 2, 1])), inputs(1, 6, 16, 16))
    assert report.clean
    assert report.layers[0].cancelled
    assert report.layers[0].own_db > -5
    assert "the grid of 0 is cancelled by later layers" in report.verdict


@pytest.mark.parametrize(("order", "shows"), [("cpq", False), ("cqp", True)])
def test_swapped_sub_pixel_axes_show_as_a_grid_across_slopes(order: str, shows: bool) -> None:
    report = audit(Lambda(by_reshape(order), conv=nn.PixelUnshuffle(2)), inputs(1, 3, 32, 32))
    assert (report.tones["ramp"]["2"] > -40) is shows
    assert ("check the sub-pixel order" in report.verdict) is shows
    assert ("order (w h)" in report.layers[0].note) is shows


@pytest.mark.parametrize(("order", "is_named"), [("cpq", False), ("pqc", True), ("cqp", False)])
def test_a_channel_order_unlike_that_of_pixel_shuffle_is_named(order: str, is_named: bool) -> None:
    torch.manual_seed(0)
    report = audit(Lambda(by_reshape(order), conv=conv(6, 24)), inputs(1, 6, 16, 16))
    assert ("order DCR" in report.layers[0].note) is is_named
    assert ("check the channel order (DCR) of (model) decoders.py" in report.verdict) is is_named
    assert ("order (w h)" in report.layers[0].note) is (order == "cqp")


def test_swapped_axes_are_said_beside_a_grid() -> None:
    torch.manual_seed(0)
    report = audit(Lambda(by_reshape("cqp"), conv=conv(6, 24)), inputs(1, 6, 16, 16))
    assert not report.clean
    assert "runs across slopes: check the sub-pixel order of" in report.verdict


def test_swapped_sub_pixel_axes_show_as_a_tone_where_phases_differ() -> None:
    """Per-phase offsets that the right order cancels stay in the output of the wrong one."""
    offsets = torch.arange(12.0).reshape(1, 12, 1, 1)

    def build(order: str) -> nn.Module:
        undo = F.pixel_shuffle(offsets, 2).repeat(1, 1, 16, 16)
        inner = Lambda(by_reshape(order), conv=nn.Identity())
        return Lambda(
            lambda m, x: m.inner(F.pixel_unshuffle(x, 2) + m.add) - m.undo, inner=inner, add=offsets, undo=undo
        )

    assert audit(build("cpq"), inputs(1, 3, 32, 32)).clean
    assert not audit(build("cqp"), inputs(1, 3, 32, 32)).clean


def test_gain_spread_of_shuffles_reads_the_right_channels() -> None:
    torch.manual_seed(0)
    right = Lambda(by_reshape("pqc"), conv=with_weight(conv(6, 12), icnr(6, 3, 2, False).weight))
    wrong = Lambda(by_reshape("cpq"), conv=with_weight(conv(6, 12), icnr(6, 3, 2, False).weight))
    assert audit(right, inputs(1, 6, 16, 16)).layers[0].gain_spread == 0
    assert audit(wrong, inputs(1, 6, 16, 16)).layers[0].gain_spread > 0.5
    shuffled = nn.Sequential(icnr(6, 3, 2), nn.PixelShuffle(2))
    assert audit(shuffled, inputs(1, 6, 16, 16)).layers[0].gain_spread == 0


@pytest.mark.parametrize(
    ("k", "s", "dilation", "expected"),
    [(3, 2, 1, 4.0), (4, 2, 1, 1.0), (5, 2, 1, 2.25), (5, 3, 1, 4.0), (3, 2, 2, None)],
)
def test_overlap(k: int, s: int, dilation: int, expected: float | None) -> None:
    layer = audit(nn.ConvTranspose2d(4, 4, k, s, dilation=dilation), inputs(1, 4, 8, 8)).layers[0]
    assert layer.overlap == expected
    assert (expected is None) == ("some output pixels get no tap" in layer.note)
