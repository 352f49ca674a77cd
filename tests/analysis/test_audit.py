"""The audit against a matrix of small modules, right and wrong, whose verdict is known by construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from analysis.audit import audit


@pytest.fixture(autouse=True)
def _plain_kernels():
    """Run without oneDNN, which compiles a kernel for every new shape: longer than all these models take to run."""
    torch._C._set_mkldnn_enabled(False)
    yield
    torch._C._set_mkldnn_enabled(True)


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
