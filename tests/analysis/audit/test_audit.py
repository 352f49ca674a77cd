"""The audit against a matrix of small modules, right and wrong, whose verdict is known by construction."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.audit.procedure import audit


class Lambda(nn.Module):
    """A module whose forward is a function of the input and of the layers given."""

    def __init__(self, function: Callable[..., object], **layers: nn.Module | Tensor) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            if isinstance(layer, nn.Module):
                self.add_module(name, layer)
            else:
                self.register_buffer(name, layer)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def transposed(k: int, s: int, c: int = 6, dims: int = 2, **options) -> nn.Module:
    """Transposed convolution that enlarges exactly `s` times."""
    padding = max(0, -(-(k - s) // 2))
    module = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1]
    return module(c, c, k, s, padding, 2 * padding - (k - s), **options)


def with_weight(module: nn.Module, weight: Tensor, bias: Tensor | float = 0.0) -> nn.Module:
    with torch.no_grad():
        module.weight.copy_(weight.expand_as(module.weight))
        if module.bias is not None:
            module.bias.copy_(torch.as_tensor(bias))
    return module


def fir(taps: list[float], c: int = 6) -> nn.Module:
    """Depthwise FIR filter, the outer product of `taps` with itself."""
    row = torch.tensor(taps) / sum(taps)
    k = len(taps)
    conv = nn.Conv2d(c, c, k, padding=k // 2, groups=c, bias=False)
    return with_weight(conv, torch.outer(row, row))


def bilinear_kernel(s: int) -> Tensor:
    k = 2 * s - s % 2
    centre = (k - 1) / 2
    line = 1 - (torch.arange(k) - centre).abs() / s
    return torch.outer(line, line)


def equal_gain(module: nn.Module) -> nn.Module:
    """Make the phase gains of a transposed convolution equal by adding the same number to every tap of a phase."""
    w = module.weight.data.double()
    s = module.stride[0]
    d = w.dim() - 2
    spots = torch.stack(torch.meshgrid(*(torch.arange(k) % s for k in w.shape[2:]), indexing="ij"), -1)
    phase = (spots * torch.tensor([s**i for i in range(d)])).sum(-1).flatten()
    flat = w.flatten(2)
    count = torch.bincount(phase, minlength=s**d).double()
    gains = torch.zeros(*flat.shape[:2], s**d, dtype=torch.float64).index_add(2, phase, flat)
    target = (gains / count).sum(-1, keepdim=True) / (1 / count).sum()
    module.weight.data = (flat - ((gains - target) / count)[..., phase]).reshape(w.shape).float()
    return module


def icnr(c_in: int, c_out: int, s: int, adjacent: bool = True) -> nn.Module:
    conv = nn.Conv2d(c_in, c_out * s * s, 3, padding=1)
    base = torch.randn(c_out, c_in, 3, 3)
    weight = base.repeat_interleave(s * s, 0) if adjacent else base.repeat(s * s, 1, 1, 1)
    return with_weight(conv, weight)


def by_reshape(pattern: str, s: int = 2) -> Callable[..., Tensor]:
    """Sub-pixel shuffle written with view and permute: which of channel, row and column phase is slowest."""

    def run(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        n, c, h, w = x.shape
        sizes = {"c": c // s**2, "p": s, "q": s}
        x = x.reshape(n, *(sizes[letter] for letter in pattern), h, w)
        at = {letter: 1 + pattern.index(letter) for letter in pattern}
        return x.permute(0, at["c"], 4, at["p"], 5, at["q"]).reshape(n, c // s**2, h * s, w * s)

    return run


def zero_insertion(self, x: Tensor) -> Tensor:
    y = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    y[:, :, ::2, ::2] = x
    return self.filter(y)


def upfirdn(self, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    y = F.pad(x.reshape(n, c, h, 1, w, 1), (0, 1, 0, 0, 0, 1)).reshape(n, c, 2 * h, 2 * w)
    return self.filter(y)


def interleaved(self, x: Tensor) -> Tensor:
    y = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    for i in range(2):
        for j in range(2):
            y[:, :, i::2, j::2] = self.get_submodule(f"f{i}{j}")(x)
    return y


def sampled(mode: str) -> Callable[..., Tensor]:
    def run(self, x: Tensor) -> Tensor:
        theta = torch.eye(2, 3).expand(len(x), 2, 3)
        grid = F.affine_grid(theta, (*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3]), align_corners=False)
        return F.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=False)

    return run


def folded(k: int, s: int, weight: str) -> Callable[..., Tensor]:
    def run(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        columns = x.flatten(2).repeat_interleave(k * k, 1)
        if weight == "random":
            columns = columns * self.scale[None, :, None]
        p = (k - s) // 2
        return (
            F.fold(columns, (h * s, w * s), k, padding=p, stride=s)
            if (k - s) % 2 == 0
            else F.fold(columns, ((h - 1) * s + k, (w - 1) * s + k), k, stride=s)
        )

    return run


def vit(self, x: Tensor) -> Tensor:
    """Tokens with a class token, attention, and patches put back by a reshape in NHWC order."""
    t = self.embed(x).flatten(2).transpose(1, 2)
    t = torch.cat([self.cls.expand(len(x), 1, -1), t], 1)
    t = t + self.attention(t, t, t, need_weights=False)[0]
    t = self.head(t[:, 1:])
    n, side = len(x), x.shape[2] // 4
    return t.reshape(n, side, side, 4, 4, 3).permute(0, 5, 1, 3, 2, 4).reshape(n, 3, 4 * side, 4 * side)


def windows(self, x: Tensor) -> Tensor:
    """Window partition and its inverse: the map never grows."""
    n, c, h, w = x.shape
    y = x.permute(0, 2, 3, 1).view(n, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
    y = self.mix(y).view(n, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
    return self.up(y.permute(0, 3, 1, 2))


def unet(up: nn.Module) -> nn.Module:
    def run(self, x: Tensor) -> Tensor:
        skip = F.relu(self.enter(x))
        deep = F.relu(self.down(skip))
        return self.leave(torch.cat([self.up(deep), skip], 1))

    return Lambda(
        run,
        enter=nn.Conv2d(6, 6, 3, padding=1),
        down=nn.Conv2d(6, 6, 3, stride=2, padding=1),
        up=up,
        leave=nn.Conv2d(12, 3, 3, padding=1),
    )


@dataclass(frozen=True)
class Case:
    """A module, whether its output is clean, and the kinds of the enlargements in order."""

    name: str
    build: Callable[[], nn.Module]
    clean: bool
    kinds: tuple[str, ...]
    shape: tuple[int, ...] = (1, 6, 16, 16)


T, SHUFFLE, RESHAPE = "transposed convolution", "sub-pixel shuffle", "shuffle by reshape"
NEAREST, LINEAR, CUBIC = "interpolation (nearest)", "interpolation (linear)", "interpolation (cubic)"
ZEROS, REPEAT = "zero insertion", "repetition"


def conv(c_in: int = 6, c_out: int = 6) -> nn.Module:
    return nn.Conv2d(c_in, c_out, 3, padding=1)


def up(mode: str, **options) -> nn.Module:
    return nn.Upsample(scale_factor=2, mode=mode, **options)


CASES = [
    # transposed convolutions
    Case("transposed_k4_s2", lambda: transposed(4, 2), False, (T,)),
    Case("transposed_k3_s2", lambda: transposed(3, 2), False, (T,)),
    Case("transposed_k2_s2", lambda: transposed(2, 2), False, (T,)),
    Case("transposed_k5_s3", lambda: transposed(5, 3), False, (T,)),
    Case("transposed_depthwise", lambda: transposed(4, 2, groups=6), False, (T,)),
    Case("transposed_gaps", lambda: nn.ConvTranspose2d(6, 6, 3, 2, 2, 1, dilation=2), False, (T,)),
    Case("transposed_ones_k4", lambda: with_weight(transposed(4, 2), torch.ones(1)), True, (T,)),
    Case("transposed_ones_k3", lambda: with_weight(transposed(3, 2), torch.ones(1)), False, (T,)),
    Case(
        "transposed_bilinear",
        lambda: with_weight(transposed(4, 2, groups=6), bilinear_kernel(2)),
        True,
        (T,),
    ),
    Case("transposed_equal_gain_k4", lambda: equal_gain(transposed(4, 2)), True, (T,)),
    Case("transposed_equal_gain_k3", lambda: equal_gain(transposed(3, 2)), True, (T,)),
    Case("transposed_equal_gain_k5_s3", lambda: equal_gain(transposed(5, 3)), True, (T,)),
    Case("transposed_twice", lambda: nn.Sequential(transposed(4, 2), nn.ReLU(), transposed(4, 2)), False, (T, T)),
    # FIR filters after them: right ones and wrong ones
    Case("transposed_fir_121", lambda: nn.Sequential(transposed(4, 2), fir([1, 2, 1])), True, (T,)),
    Case("transposed_fir_1331", lambda: nn.Sequential(transposed(3, 2), fir([1, 3, 3, 1])), True, (T,)),
    Case("transposed_fir_111", lambda: nn.Sequential(transposed(4, 2), fir([1, 1, 1])), False, (T,)),
    Case("transposed_s3_fir_111", lambda: nn.Sequential(transposed(6, 3), fir([1, 1, 1])), True, (T,)),
    Case("transposed_s3_fir_121", lambda: nn.Sequential(transposed(6, 3), fir([1, 2, 1])), False, (T,)),
    Case("transposed_box", lambda: nn.Sequential(transposed(3, 2), nn.AvgPool2d(2, 1)), True, (T,)),
    Case("twice_box_4", lambda: nn.Sequential(transposed(4, 2), transposed(4, 2), nn.AvgPool2d(4, 1)), True, (T, T)),
    Case("twice_box_2", lambda: nn.Sequential(transposed(4, 2), transposed(4, 2), nn.AvgPool2d(2, 1)), False, (T, T)),
    Case("relu_between", lambda: nn.Sequential(transposed(4, 2), nn.Softplus(), fir([1, 2, 1])), True, (T,)),
    # an even last kernel as wide as the accumulated stride hides the layer before; the other order does not
    Case(
        "ones_k3_then_ones_k4",
        lambda: nn.Sequential(
            with_weight(transposed(3, 2), torch.ones(1)), with_weight(transposed(4, 2), torch.ones(1))
        ),
        True,
        (T, T),
    ),
    Case(
        "ones_k4_then_ones_k3",
        lambda: nn.Sequential(
            with_weight(transposed(4, 2), torch.ones(1)), with_weight(transposed(3, 2), torch.ones(1))
        ),
        False,
        (T, T),
    ),
    # resizes
    Case("nearest_conv", lambda: nn.Sequential(up("nearest"), conv(), nn.ReLU(), conv()), True, (NEAREST,)),
    Case("bilinear_conv", lambda: nn.Sequential(up("bilinear", align_corners=False), conv()), True, (LINEAR,)),
    Case("bicubic_conv", lambda: nn.Sequential(up("bicubic", align_corners=False), conv()), True, (CUBIC,)),
    Case("align_corners", lambda: nn.Sequential(up("bilinear", align_corners=True), conv()), True, (LINEAR,)),
    Case("uneven_scale", lambda: Lambda(lambda m, x: F.interpolate(x, scale_factor=1.5)), True, (NEAREST,)),
    Case(
        "functional_nearest",
        lambda: Lambda(lambda m, x: m.conv(F.interpolate(x, scale_factor=2)), conv=conv()),
        True,
        (NEAREST,),
    ),
    Case(
        "functional_transposed",
        lambda: Lambda(lambda m, x: F.conv_transpose2d(x, m.w, stride=2, padding=1), w=torch.randn(6, 6, 4, 4)),
        False,
        (T,),
    ),
    Case(
        "repeat_interleave",
        lambda: Lambda(lambda m, x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)),
        True,
        (REPEAT,) * 2,
    ),
    Case("kron", lambda: Lambda(lambda m, x: torch.kron(x, m.k), k=torch.ones(1, 1, 2, 2)), True, (REPEAT,)),
    Case("kron_uneven", lambda: Lambda(lambda m, x: torch.kron(x, m.k), k=torch.rand(1, 1, 2, 2)), False, (RESHAPE,)),
    Case(
        "matrix_resize",
        lambda: Lambda(lambda m, x: m.a @ x @ m.a.T, a=torch.eye(16).repeat_interleave(2, 0)),
        True,
        ("matrix product",) * 2,
    ),
    Case(
        "indexing",
        lambda: Lambda(lambda m, x: x[:, :, torch.arange(32) // 2][:, :, :, torch.arange(32) // 2]),
        True,
        ("gather",) * 2,
    ),
    Case(
        "fourier",
        lambda: Lambda(lambda m, x: torch.fft.irfft2(torch.fft.rfft2(x), s=(32, 32))),
        True,
        ("Fourier transform",),
    ),
    # sub-pixel layers
    Case("sub_pixel", lambda: nn.Sequential(conv(6, 24), nn.PixelShuffle(2)), False, (SHUFFLE,)),
    Case("sub_pixel_icnr", lambda: nn.Sequential(icnr(6, 3, 2), nn.PixelShuffle(2)), True, (SHUFFLE,)),
    Case("sub_pixel_icnr_repeat", lambda: nn.Sequential(icnr(6, 3, 2, False), nn.PixelShuffle(2)), False, (SHUFFLE,)),
    Case(
        "sub_pixel_bias",
        lambda: nn.Sequential(with_weight(conv(6, 12), torch.ones(1), torch.arange(12.0)), nn.PixelShuffle(2)),
        False,
        (SHUFFLE,),
    ),
    Case(
        "sub_pixel_blur", lambda: nn.Sequential(conv(6, 24), nn.PixelShuffle(2), nn.AvgPool2d(2, 1)), True, (SHUFFLE,)
    ),
    Case("reshape_c_p_q", lambda: Lambda(by_reshape("cpq"), conv=conv(6, 24)), False, (RESHAPE,)),
    Case("reshape_icnr", lambda: Lambda(by_reshape("cpq"), conv=icnr(6, 3, 2)), True, (REPEAT,)),
    Case("reshape_icnr_wrong_layout", lambda: Lambda(by_reshape("pqc"), conv=icnr(6, 3, 2)), False, (RESHAPE,)),
    Case("stack_interleave", lambda: Lambda(lambda m, x: torch.stack([x, x], -1).flatten(-2)), True, (REPEAT,)),
    # zero insertion
    Case("zero_insertion", lambda: Lambda(zero_insertion, filter=nn.Identity()), False, (ZEROS,)),
    Case("zero_insertion_fir", lambda: Lambda(zero_insertion, filter=fir([1, 3, 3, 1])), True, (ZEROS,)),
    Case("upfirdn_bilinear", lambda: Lambda(upfirdn, filter=fir([1, 2, 1])), True, (ZEROS,)),
    Case("upfirdn_short", lambda: Lambda(upfirdn, filter=fir([1, 4, 1])), False, (ZEROS,)),
    Case(
        "interleaved_convs",
        lambda: Lambda(interleaved, **{f"f{i}{j}": conv() for i in range(2) for j in range(2)}),
        False,
        (RESHAPE,),
    ),
    # sampling, folding, unpooling
    Case("grid_sample_bilinear", lambda: Lambda(sampled("bilinear")), True, ("grid_sample",)),
    Case("grid_sample_nearest", lambda: Lambda(sampled("nearest")), True, ("grid_sample",)),
    Case("fold_even", lambda: Lambda(folded(4, 2, "ones")), True, ("fold",)),
    Case("fold_uneven", lambda: Lambda(folded(3, 2, "ones")), False, ("fold",)),
    Case("fold_random", lambda: Lambda(folded(4, 2, "random"), scale=torch.rand(96)), False, ("fold",)),
    Case(
        "max_unpool",
        lambda: Lambda(lambda m, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)),
        False,
        ("max-unpooling",),
    ),
    Case(
        "area",
        lambda: Lambda(lambda m, x: F.interpolate(x, size=(32, 32), mode="area")),
        True,
        ("interpolation (area)",),
    ),
    # architectures
    Case("batch_norm", lambda: nn.Sequential(transposed(4, 2), nn.BatchNorm2d(6), nn.ReLU(), conv()), False, (T,)),
    Case("group_norm", lambda: nn.Sequential(conv(), nn.GroupNorm(2, 6), up("nearest"), conv()), True, (NEAREST,)),
    Case("instance_norm", lambda: nn.Sequential(equal_gain(transposed(4, 2)), conv(), nn.Tanh()), True, (T,)),
    Case("unet_clean", lambda: unet(nn.Sequential(up("nearest"), conv())), True, (NEAREST,)),
    Case("unet_dirty", lambda: unet(transposed(2, 2)), False, (T,)),
    Case("window_attention", lambda: Lambda(windows, mix=nn.Linear(6, 6), up=up("nearest")), True, (NEAREST,)),
    Case(
        "vit_patches",
        lambda: Lambda(
            vit,
            embed=nn.Conv2d(6, 12, 4, stride=4),
            cls=torch.zeros(1, 1, 12),
            attention=nn.MultiheadAttention(12, 2, batch_first=True),
            head=nn.Linear(12, 48),
        ),
        False,
        (RESHAPE,),
    ),
    Case(
        "latent_vector",
        lambda: nn.Sequential(nn.Linear(8, 96), nn.Unflatten(1, (6, 4, 4)), transposed(4, 2)),
        False,
        (T,),
        (2, 8),
    ),
    Case(
        "latent_vector_clean",
        lambda: nn.Sequential(nn.Linear(8, 96), nn.Unflatten(1, (6, 4, 4)), up("nearest"), conv()),
        True,
        (NEAREST,),
        (2, 8),
    ),
    # one and three dimensions
    Case("audio_transposed", lambda: transposed(8, 4, dims=1), False, (T,), (1, 6, 64)),
    Case("audio_transposed_equal", lambda: equal_gain(transposed(8, 4, dims=1)), True, (T,), (1, 6, 64)),
    Case("audio_linear", lambda: nn.Upsample(scale_factor=4, mode="linear"), True, (LINEAR,), (1, 6, 64)),
    Case(
        "audio_frames",
        lambda: Lambda(lambda m, x: m.f(x.transpose(1, 2)).flatten(1), f=nn.Linear(6, 8)),
        False,
        (RESHAPE,),
        (1, 6, 64),
    ),
    Case("volume_transposed", lambda: transposed(2, 2, dims=3), False, (T,), (1, 6, 8, 8, 8)),
    Case("volume_trilinear", lambda: nn.Upsample(scale_factor=2, mode="trilinear"), True, (LINEAR,), (1, 6, 8, 8, 8)),
    Case(
        "video_frames",
        lambda: Lambda(
            lambda m, x: m.up(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (1, 8)).transpose(1, 2), up=transposed(4, 2)
        ),
        False,
        (T,),
        (1, 6, 8, 8, 8),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_matrix(case: Case) -> None:
    torch.manual_seed(7)
    model = case.build()
    report = audit(model, torch.randn(case.shape, generator=torch.Generator().manual_seed(1)))
    assert tuple(layer.kind for layer in report.layers) == case.kinds
    assert report.clean is case.clean, report.verdict
    if case.clean:
        assert report.tone_db is None or report.tone_db < -80
    else:
        assert report.tone_db > -45


def test_matrix_is_large_and_has_both_verdicts() -> None:
    assert len(CASES) >= 40
    assert min(sum(case.clean for case in CASES), sum(not case.clean for case in CASES)) >= 20


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def dirty() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(transposed(4, 2), nn.ReLU(), transposed(4, 2), nn.ReLU(), conv(6, 3))


# known answers


@pytest.mark.parametrize(("dims", "scale"), [(1, 2), (1, 4), (2, 2), (2, 3), (3, 2)])
def test_own_tone_of_random_weights_is_one_minus_one_over_phases(dims: int, scale: int) -> None:
    torch.manual_seed(5)
    module = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1]
    layer = module(128, 512, scale, scale, bias=False)
    with torch.no_grad():
        layer.weight.normal_()
    report = audit(layer, noise(1, 128, *(4,) * dims))
    share = 10 ** (report.layers[0].own_db / 10)
    assert share == pytest.approx(1 - 1 / scale**dims, rel=0.05)
    assert report.layers[0].gain_spread ** 2 == pytest.approx(1 - 1 / scale**dims, rel=0.05)


def test_a_known_board_reads_its_share_of_the_contrast() -> None:
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16)

    def run(self, x):
        y = F.interpolate(x, scale_factor=2)
        return y - y.mean((2, 3), keepdim=True) + 0.01 * self.board

    x = noise(1, 1, 16, 16)
    report = audit(Lambda(run, board=board), x)
    inner = F.interpolate(x, scale_factor=2)[..., 8:24, 8:24]
    assert report.contrast**2 >= float(inner.var(correction=0)) * 0.9
    assert report.tone_db == pytest.approx(20 * np.log10(0.01 / report.contrast), abs=0.01)


def test_layers_add_up_to_the_tone() -> None:
    """The last layer's part has the finest lattice only, so powers at period 4 and 2 split between the layers."""
    report = audit(dirty(), noise(1, 6, 16, 16))
    assert [layer.period for layer in report.layers] == [(2, 2), (4, 4)]
    assert report.tones["flat"].keys() == {"2", "4"}
    total = sum(10 ** (value / 10) for value in report.tones["flat"].values())
    assert 10 * np.log10(total) == pytest.approx(report.tone_db, abs=1e-6)
    assert report.worst is not None
    assert f"{report.layers[report.worst].path} (transposed convolution, k4 s2)" in report.verdict


def test_periods_accumulate_and_shrink_with_strides() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(transposed(4, 2), nn.Conv2d(6, 6, 3, 2, 1), transposed(6, 3), transposed(4, 2), conv())
    report = audit(model, noise(1, 6, 16, 16))
    assert [layer.period for layer in report.layers] == [(2, 2), (3, 3), (6, 6)]
    assert report.period == (6, 6)


def test_scale_may_differ_between_axes() -> None:
    torch.manual_seed(0)
    report = audit(nn.ConvTranspose2d(6, 6, (3, 4), (1, 4), (1, 0)), noise(1, 6, 16, 16))
    assert report.layers[0].scale == (1, 4)
    assert list(report.tones["flat"]) == ["1x4"]
    assert not report.clean


def test_cancelled_layers_are_named() -> None:
    torch.manual_seed(0)
    report = audit(nn.Sequential(transposed(4, 2), fir([1, 2, 1])), noise(1, 6, 16, 16))
    assert report.clean
    assert report.layers[0].cancelled
    assert report.layers[0].own_db > -5
    assert "the grid of 0 is cancelled by later layers" in report.verdict


@pytest.mark.parametrize(("order", "shows"), [("cpq", False), ("cqp", True)])
def test_swapped_sub_pixel_axes_show_as_a_grid_across_slopes(order: str, shows: bool) -> None:
    report = audit(Lambda(by_reshape(order), conv=nn.PixelUnshuffle(2)), noise(1, 3, 32, 32))
    assert (report.tones["ramp"]["2"] > -40) is shows
    assert ("check the sub-pixel order" in report.verdict) is shows
    assert ("order (w h)" in report.layers[0].note) is shows


@pytest.mark.parametrize(("order", "is_named"), [("cpq", False), ("pqc", True), ("cqp", False)])
def test_a_channel_order_unlike_that_of_pixel_shuffle_is_named(order: str, is_named: bool) -> None:
    torch.manual_seed(0)
    report = audit(Lambda(by_reshape(order), conv=conv(6, 24)), noise(1, 6, 16, 16))
    assert ("order DCR" in report.layers[0].note) is is_named
    assert ("check the channel order (DCR) of (model) test_audit.py" in report.verdict) is is_named
    assert ("order (w h)" in report.layers[0].note) is (order == "cqp")


def test_swapped_axes_are_said_beside_a_grid() -> None:
    torch.manual_seed(0)
    report = audit(Lambda(by_reshape("cqp"), conv=conv(6, 24)), noise(1, 6, 16, 16))
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

    assert audit(build("cpq"), noise(1, 3, 32, 32)).clean
    assert not audit(build("cqp"), noise(1, 3, 32, 32)).clean


def test_gain_spread_of_shuffles_reads_the_right_channels() -> None:
    torch.manual_seed(0)
    right = Lambda(by_reshape("pqc"), conv=with_weight(conv(6, 12), icnr(6, 3, 2, False).weight))
    wrong = Lambda(by_reshape("cpq"), conv=with_weight(conv(6, 12), icnr(6, 3, 2, False).weight))
    assert audit(right, noise(1, 6, 16, 16)).layers[0].gain_spread == 0
    assert audit(wrong, noise(1, 6, 16, 16)).layers[0].gain_spread > 0.5
    shuffled = nn.Sequential(icnr(6, 3, 2), nn.PixelShuffle(2))
    assert audit(shuffled, noise(1, 6, 16, 16)).layers[0].gain_spread == 0


@pytest.mark.parametrize(
    ("k", "s", "dilation", "expected"),
    [(3, 2, 1, 4.0), (4, 2, 1, 1.0), (5, 2, 1, 2.25), (5, 3, 1, 4.0), (3, 2, 2, None)],
)
def test_overlap(k: int, s: int, dilation: int, expected: float | None) -> None:
    layer = audit(nn.ConvTranspose2d(4, 4, k, s, dilation=dilation), noise(1, 4, 8, 8)).layers[0]
    assert layer.overlap == expected
    assert (expected is None) == ("some output pixels get no tap" in layer.note)


# what is no enlargement


@pytest.mark.parametrize(
    "model",
    [
        nn.ConvTranspose2d(6, 6, 3, 1, 1),
        nn.Upsample(scale_factor=1),
        nn.Upsample(scale_factor=0.5),
        nn.Sequential(nn.Conv2d(6, 6, 3, 2, 1), nn.ReLU()),
        nn.ZeroPad2d(8),
        nn.ReflectionPad2d(4),
        Lambda(lambda m, x: x.repeat(1, 1, 2, 2)),
        Lambda(lambda m, x: torch.cat([x, x], 2)),
        Lambda(lambda m, x: x * F.interpolate(F.adaptive_avg_pool2d(x, 1), size=(16, 16))),
        nn.PixelUnshuffle(2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_nothing_enlarges(model: nn.Module) -> None:
    report = audit(model, noise(1, 6, 16, 16))
    assert report.layers == ()
    assert report.clean
    assert report.verdict == "Nothing to judge: no layer enlarges its map."


def test_layers_that_never_run_are_reported() -> None:
    model = nn.Sequential(transposed(4, 2), conv())
    model.spare = nn.ModuleList([nn.ConvTranspose2d(3, 3, 4, 2), nn.ConvTranspose2d(3, 3, 3, 1), nn.PixelShuffle(2)])
    model.forward = lambda x: model[1](model[0](x))
    report = audit(model, noise(1, 6, 16, 16))
    assert report.unused == ("spare.0", "spare.2")
    assert "never executed:\n  spare.0\n  spare.2" in str(report)


def test_a_weight_used_by_a_functional_call_is_executed() -> None:
    layer = nn.ConvTranspose2d(6, 6, 4, 2)
    model = Lambda(lambda m, x: F.conv_transpose2d(x, m.up.weight, stride=2), up=layer)
    assert audit(model, noise(1, 6, 16, 16)).unused == ()


def test_a_layer_that_runs_twice_is_reported_twice() -> None:
    torch.manual_seed(0)
    model = Lambda(lambda m, x: m.up(m.up(x)), up=transposed(4, 2))
    report = audit(model, noise(1, 6, 16, 16))
    assert [(layer.path, layer.period) for layer in report.layers] == [("up", (2, 2)), ("up", (4, 4))]


# inputs and outputs


def test_several_inputs_and_outputs() -> None:
    torch.manual_seed(0)

    def run(self, x, y, *, factor):
        return {"small": x * factor, "dirty": self.up(x + y), "clean": [F.interpolate(y, scale_factor=2)]}

    model = Lambda(run, up=transposed(4, 2))
    report = (
        audit(model, {"x": noise(2, 6, 16, 16), "y": noise(2, 6, 16, 16), "factor": 2.0})
        if False
        else audit(
            Lambda(lambda m, x, y: run(m, x, y, factor=2.0), up=model.up), (noise(2, 6, 16, 16), noise(2, 6, 16, 16))
        )
    )
    assert report.output == "dirty"
    assert len(report.layers) == 2
    assert not report.clean


def test_keyword_inputs() -> None:
    torch.manual_seed(0)
    model = Lambda(lambda m, x, factor: m.up(x) * factor, up=transposed(4, 2))
    assert not audit(model, {"x": noise(1, 6, 16, 16), "factor": torch.tensor(2.0)}).clean


def test_codes_as_input() -> None:
    torch.manual_seed(0)
    model = Lambda(lambda m, x: m.up(m.book(x).permute(0, 3, 1, 2)), book=nn.Embedding(10, 6), up=transposed(4, 2))
    codes = torch.randint(10, (1, 8, 8), generator=torch.Generator().manual_seed(1))
    report = audit(model, codes, spatial_dims=2)
    assert not report.clean
    assert report.layers[0].path == "up"


# the model stays as it was


class Meddler(nn.Module):
    """Draws random numbers, writes into its buffers and its input, and may fail at a given call."""

    def __init__(self, fails_at: int = 0) -> None:
        super().__init__()
        self.up, self.norm, self.drop = transposed(4, 2), nn.BatchNorm2d(6), nn.Dropout(0.5)
        self.register_buffer("count", torch.zeros(()))
        self.fails_at, self.calls = fails_at, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.count += 1
        if self.calls == self.fails_at:
            raise RuntimeError("out of luck")
        x.mul_(0.5)
        random.random()
        np.random.rand()  # noqa: NPY002
        return self.drop(self.norm(self.up(x))) + torch.randn(1)


@pytest.mark.parametrize("fails_at", [0, 1, 4])
@pytest.mark.parametrize("training", [False, True])
def test_the_model_stays_as_it_was(fails_at: int, training: bool) -> None:
    torch.manual_seed(0)
    model = Meddler(fails_at).train(training)
    model.drop.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    x = noise(1, 6, 16, 16)
    try:
        audit(model, x)
    except (RuntimeError, ValueError):
        assert fails_at
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert model.training is training
    assert not model.drop.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not torch.nn.modules.module._global_forward_hooks
    assert torch.equal(x, noise(1, 6, 16, 16))
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    assert after[:2] == states[:2]
    assert torch.equal(after[2], states[2])


def test_the_same_audit_twice_says_the_same() -> None:
    model, x = dirty(), noise(1, 6, 16, 16)
    assert audit(model, x).to_dict() == audit(model, x).to_dict()


def test_other_precisions_and_inference_mode() -> None:
    double = audit(dirty().double(), noise(1, 6, 16, 16).double())
    single = audit(dirty(), noise(1, 6, 16, 16))
    assert double.tone_db == pytest.approx(single.tone_db, abs=0.01)
    half = audit(nn.Sequential(up("nearest"), conv()).bfloat16(), noise(1, 6, 16, 16).bfloat16())
    assert half.clean
    guarded = Lambda(torch.inference_mode()(lambda m, x: m.body(x)), body=dirty())
    assert audit(guarded, noise(1, 6, 16, 16)).tone_db == pytest.approx(single.tone_db, abs=0.01)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu() -> None:
    x = noise(1, 6, 16, 16)
    assert audit(dirty().cuda(), x.cuda()).tone_db == pytest.approx(audit(dirty(), x).tone_db, abs=0.5)


# the report


def test_report_is_plain_data_and_readable() -> None:
    report = audit(dirty(), noise(1, 6, 16, 16))
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["clean"] is False
    assert plain["layers"][0]["kind"] == "transposed convolution"
    lines = str(report).splitlines()
    assert " ".join(lines).startswith(report.verdict)
    assert any(line[2:].startswith("0: transposed convolution, k4 s2") for line in lines)
    assert max(map(len, lines)) <= 80
    assert report.spectrum.shape[-1] == report.spectrum.shape[-2]
    assert report.phase_map.shape == (1, 3, 4, 4)


def test_threshold_decides() -> None:
    model, x = dirty(), noise(1, 6, 16, 16)
    tone = audit(model, x).tone_db
    assert audit(model, x, threshold_db=tone + 0.1).clean
    assert not audit(model, x, threshold_db=tone - 0.1).clean


# errors


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ValueError, match=r"audit: model: expected a torch.nn.Module, got function"):
        audit(lambda x: x, noise(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"audit: example_input: expected tensors, got int"):
        audit(conv(), 3)
    with pytest.raises(
        ValueError, match=r"audit: the model fails on the example input \[\(1, 3, 8, 8\)\]: RuntimeError"
    ):
        audit(conv(), noise(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"audit: output: expected finite values, got NaN or infinity"):
        audit(Lambda(lambda m, x: x / 0), noise(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"audit: model: expected maps"):
        audit(Lambda(lambda m, x: x.sum()), torch.ones(3))
    with pytest.raises(ValueError, match=r"audit: spatial_dims: expected one of 1, 2, 3, got 4"):
        audit(conv(), noise(1, 6, 8, 8), spatial_dims=4)
