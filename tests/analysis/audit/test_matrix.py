"""The audit against a matrix of small modules, right and wrong, whose verdict is known by construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from checkerscope.analysis.audit.procedure import audit
from tests.analysis.audit.decoders import (
    Lambda,
    bilinear_kernel,
    by_reshape,
    conv,
    equal_gain,
    fir,
    folded,
    icnr,
    interleaved,
    sampled,
    transposed,
    unet,
    up,
    upfirdn,
    vit,
    windows,
    with_weight,
    zero_insertion,
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
