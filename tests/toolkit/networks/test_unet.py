"""The U-Net: any upsampler, any input size, same start in every arm."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.upsampler import Context
from checkerscope.toolkit.networks.unet import UNet
from checkerscope.toolkit.upsamplers.max_unpool import MaxUnpool
from checkerscope.toolkit.upsamplers.nearest import Nearest
from checkerscope.toolkit.upsamplers.transposed_conv import TransposedConv

UPSAMPLERS = [
    c.name
    for c in catalog.describe("checkerscope.toolkit.upsamplers")
    if 2 in (c.flags.get("scales") or (2,)) and 2 in c.flags.get("dims", (2,))
]


def small(upsampler: object = TransposedConv, *, dims: int = 2, **options: object) -> UNet:
    torch.manual_seed(0)
    factory = functools.partial(upsampler, scale=options.get("scale", 2), spatial_dims=dims)
    return UNet(factory, **({"width": 4, "spatial_dims": dims} | options)).eval()


@pytest.mark.parametrize("name", UPSAMPLERS)
def test_every_upsampler_fits_and_learns(name: str) -> None:
    model = small(catalog.load("checkerscope.toolkit.upsamplers", name), out_channels=5, width=8)
    images = torch.rand(2, 3, 18, 13, generator=torch.Generator().manual_seed(0))
    output = model(images)
    assert output.shape == (2, 5, 18, 13)
    output.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("size", [(16, 16), (17, 16), (5, 31), (1, 4), (64, 3)])
def test_any_size_comes_back(size: tuple[int, int]) -> None:
    assert small()(torch.rand(1, 3, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize(("dims", "scale", "depth"), [(1, 2, 3), (1, 4, 1), (2, 3, 2), (3, 2, 1)])
def test_dimensions_scales_and_depths(dims: int, scale: int, depth: int) -> None:
    model = small(dims=dims, scale=scale, depth=depth, image_channels=2, convolutions=2)
    assert model.period == scale**depth
    assert len(model.upsamplers) == depth
    assert model(torch.rand(2, 2, *(scale**depth + 1,) * dims)).shape == (2, 2, *(scale**depth + 1,) * dims)


def test_odd_sizes_are_padded_at_the_far_end_with_the_edge() -> None:
    model = small()
    images = torch.rand(1, 3, 14, 15, generator=torch.Generator().manual_seed(0))
    padded = F.pad(images, (0, 1, 0, 2), mode="replicate")
    torch.testing.assert_close(model(images), model(padded)[..., :14, :15])


def test_encode_and_decode_are_the_two_halves() -> None:
    model = small()
    images = torch.rand(2, 3, 16, 24)
    latents, contexts = model.encode(images)
    assert latents.shape == (2, 16, 4, 6)
    assert [tuple(c.features.shape[1:]) for c in contexts] == [(4, 16, 24), (8, 8, 12)]
    torch.testing.assert_close(model.decode(latents, contexts), model(images), rtol=0, atol=0)
    empty = [Context(c.indices, torch.zeros_like(c.features)) for c in contexts]
    torch.testing.assert_close(model.decode(latents), model.decode(latents, empty), rtol=0, atol=0)


def test_all_arms_start_with_the_same_encoder_and_output() -> None:
    one, other = small(TransposedConv).state_dict(), small(Nearest).state_dict()
    shared = [key for key in one if not key.startswith("upsamplers.")]
    assert len(shared) == 2 * (2 + 1 + 2 + 1)  # weight and bias: stages, bottom, merges, output
    assert all(torch.equal(one[key], other[key]) for key in shared)


def test_skips_carry_what_the_bottom_lost() -> None:
    model = small()
    x = torch.zeros(1, 3, 16, 16)
    x[..., 7, 7] = 1
    with torch.no_grad():
        latents, contexts = model.encode(x)
        without = model.decode(latents)
    assert not torch.allclose(model.decode(latents, contexts), without)


def test_it_moves_with_its_input_by_a_period() -> None:
    model = small().double()
    x = torch.rand(1, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        moved = model(x.roll(4, -1))[..., 20:-20]
        torch.testing.assert_close(moved, model(x).roll(4, -1)[..., 20:-20], rtol=0, atol=1e-12)


def test_convolutions_per_stage() -> None:
    count = sum(isinstance(m, nn.Conv2d) for m in small(Nearest, convolutions=3).modules())
    assert count == 3 * 5 + 1 + 2  # stages, bottom, merges; output; Nearest's channel changes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, "unet: depth: expected an integer from 1 to 10, got 0"),
        ({"depth": 11}, "unet: depth: expected an integer from 1 to 10, got 11"),
        ({"depth": None}, "unet: depth: expected an integer from 1 to 10, got None"),
        (
            {"width": 65, "depth": 10},
            "unet: width: expected at most 65536 channels in the deepest of 11 stages, got 665",
        ),
        ({"scale": 16, "depth": 4}, r"unet: scale \*\* depth: expected at most 4096, got 65536; use a smaller depth"),
        ({"convolutions": 101}, "unet: convolutions: expected an integer from 1 to 100, got 101"),
        ({"out_channels": 65537}, "unet: out_channels: expected an integer from 1 to 65536, got 65537"),
        ({"width": 0}, "unet: width: expected an integer from 1, got 0"),
        ({"convolutions": 0}, "unet: convolutions: expected an integer from 1 to 100, got 0"),
        ({"out_channels": 0}, "unet: out_channels: expected an integer from 1 to 65536, got 0"),
        ({"image_channels": 1.5}, "unet: image_channels: expected an integer from 1 to 65536, got 1.5"),
        ({"scale": 1}, "unet: scale: expected an integer from 2, got 1"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message), torch.device("meta"):  # should it pass, nothing is allocated
        small(**options)


def test_bad_inputs() -> None:
    model = small()
    with pytest.raises(ValueError, match=r"unet: input: expected shape \(n, 3, h, w\), got \(1, 1, 8, 8\)"):
        model(torch.zeros(1, 1, 8, 8))
    latents, contexts = model.encode(torch.zeros(1, 3, 16, 16))
    for wrong, got in ((model.encode(torch.zeros(1, 3, 20, 16))[1], r"\(10, 8\)"), ([Context()] * 2, "none")):
        with pytest.raises(ValueError, match=rf"unet: skip: expected size \(8, 8\), got {got}; pass what encode"):
            model.decode(latents, wrong)
    with pytest.raises(ValueError, match="max_unpool: context: expected the encoder's indices"):
        small(MaxUnpool).decode(latents)
    assert len(contexts) == 2
