"""The study's network: shapes, period, what reaches an upsampler with context, and equal starts."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn

from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.upsampler import Context, Upsampler
from checkerscope.toolkit.networks.autoencoder import Autoencoder

COMPONENTS = {c.name: c for c in catalog.describe("checkerscope.toolkit.upsamplers")}
TWO = [name for name, c in COMPONENTS.items() if 2 in c.flags.get("dims", (1, 2, 3))]


def autoencoder(name: str, *, scale: int = 2, spatial_dims: int = 2, seed: int = 0, **options: object) -> Autoencoder:
    cls = catalog.load("checkerscope.toolkit.upsamplers", name)
    factory = functools.partial(cls, scale=scale, spatial_dims=spatial_dims)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Autoencoder(factory, scale=scale, spatial_dims=spatial_dims, **options)


def pictures(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", TWO)
def test_reconstruction_has_the_shape_of_the_images(name: str) -> None:
    model = autoencoder(name, width=4, latent_channels=6)
    images = pictures(2, 3, 16, 24)
    assert model(images).shape == images.shape
    assert model.period == 4
    assert [type(u).__module__.rpartition(".")[2] for u in model.upsamplers] == [name] * 2


def test_channels_and_sizes_along_the_way() -> None:
    model = autoencoder("fade", width=8, depth=3, latent_channels=5, image_channels=1)
    latents, contexts = model.encode(pictures(2, 1, 32, 16))
    assert latents.shape == (2, 5, 4, 2)
    assert [c.features.shape for c in contexts] == [(2, 8, 32, 16), (2, 16, 16, 8), (2, 32, 8, 4)]
    assert [c.indices.shape for c in contexts] == [(2, 8, 16, 8), (2, 16, 8, 4), (2, 32, 4, 2)]
    assert [(u.in_channels, u.out_channels) for u in model.upsamplers] == [(5, 32), (32, 16), (16, 8)]
    assert model.decode(latents, contexts).shape == (2, 1, 32, 16)
    assert model.period == 8


def test_without_an_upsampler_that_looks_at_the_encoder_nothing_is_kept_of_it_and_the_numbers_are_the_same() -> None:
    model, images = autoencoder("transposed_conv", width=8, depth=3), pictures(2, 3, 32, 16)
    latents, contexts = model.encode(images)
    assert contexts == [Context()] * 3
    x = images
    for stage in model.stages:
        x = nn.functional.max_pool2d(stage(x).relu(), 2)
    assert torch.equal(model.bottleneck(x), latents)


def test_without_final_convolution_the_last_upsampler_yields_the_image() -> None:
    model = autoencoder("nearest_conv", width=4, final_conv=False)
    assert isinstance(model.final, nn.Identity)
    assert model.upsamplers[-1].out_channels == 3
    nn.init.zeros_(model.upsamplers[-1].conv.weight)
    nn.init.constant_(model.upsamplers[-1].conv.bias, -1.0)
    assert torch.equal(model(pictures(1, 3, 8, 8)), torch.full((1, 3, 8, 8), -1.0))  # no ReLU after it


def test_with_final_convolution_every_upsampler_is_rectified() -> None:
    model = autoencoder("nearest_conv", width=4)
    nn.init.zeros_(model.upsamplers[-1].conv.weight)
    nn.init.constant_(model.upsamplers[-1].conv.bias, -1.0)
    expected = model.final.bias.detach().reshape(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert torch.equal(model(pictures(1, 3, 8, 8)), expected)


@pytest.mark.parametrize(("scale", "d"), [(2, 1), (3, 2), (4, 2), (2, 3)])
@pytest.mark.parametrize("downsampling", ["max_pool", "strided"])
def test_other_scales_and_dimensions(scale: int, d: int, downsampling: str) -> None:
    options = {"width": 2, "latent_channels": 3, "downsampling": downsampling}
    model = autoencoder("transposed_conv", scale=scale, spatial_dims=d, **options)
    images = pictures(1, 3, *(scale**2 * k for k in (1, 2, 3)[:d]))
    assert model(images).shape == images.shape
    assert model.period == scale**2
    assert model.encode(images)[0].shape[2:] == (1, 2, 3)[:d]


def test_strided_encoder_pools_nothing_and_has_no_context() -> None:
    model = autoencoder("pixel_shuffle", width=4, downsampling="strided")
    _, contexts = model.encode(pictures(1, 3, 8, 8))
    assert contexts == [Context(), Context()]
    assert all(stage.stride == (2, 2) for stage in model.stages)


class Recorder(Upsampler):
    label = "Recorder"
    source = "test"
    needs_context = "features"

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.change = nn.Conv2d(in_channels, out_channels, 1)
        self.seen: list[Context | None] = []

    def upsample(self, x: Tensor, context: Context | None) -> Tensor:
        self.seen.append(context)
        return self.change(x).repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_every_upsampler_sees_the_context_of_its_own_resolution() -> None:
    model = Autoencoder(Recorder, width=4, depth=3)
    images = pictures(1, 3, 16, 16)
    _, contexts = model.encode(images)
    model(images)
    for upsampler, expected in zip(model.upsamplers, reversed(contexts), strict=True):
        (context,) = upsampler.seen
        assert torch.equal(context.features, expected.features)
        assert torch.equal(context.indices, expected.indices)
        assert context.features.shape[1] == upsampler.out_channels
    with pytest.raises(ValueError, match="expected the encoder's features"):
        model.decode(model.encode(images)[0])


def test_indices_are_those_of_the_maxima() -> None:
    model = autoencoder("max_unpool", width=4)
    _, contexts = model.encode(pictures(1, 3, 8, 8))
    features, indices = contexts[0].features, contexts[0].indices
    pooled = features.flatten(2).gather(2, indices.flatten(2)).reshape(indices.shape)
    assert torch.equal(pooled, nn.functional.max_pool2d(features, 2))


@pytest.mark.parametrize("name", [n for n, c in COMPONENTS.items() if c.flags.get("needs_context") and n in TWO])
def test_upsamplers_with_context_run_in_the_network_and_need_it(name: str) -> None:
    model = autoencoder(name, width=4)
    images = pictures(2, 3, 16, 16)
    model(images).sum().backward()
    assert all(stage.weight.grad is not None for stage in model.stages)
    with pytest.raises(ValueError, match=rf"{name}: context: expected the encoder's .*, got none"):
        model.decode(model.encode(images)[0])
    strided = autoencoder(name, width=4, downsampling="strided")
    with pytest.raises(ValueError, match=rf"{name}: context: expected the encoder's .*, got none"):
        strided(images)


def test_one_seed_gives_every_arm_the_same_encoder_and_final_convolution() -> None:
    reference = autoencoder("nearest", width=4)
    for name in TWO:
        model = autoencoder(name, width=4)
        for key, value in reference.state_dict().items():
            if not key.startswith("upsamplers"):
                assert torch.equal(model.state_dict()[key], value), (name, key)
    other = autoencoder("nearest", width=4, seed=1)
    assert not torch.equal(other.stages[0].weight, reference.stages[0].weight)


def test_every_parameter_learns() -> None:
    model = autoencoder("transposed_conv", width=4)
    images = pictures(4, 3, 16, 16)
    (model(images) - images).square().mean().backward()
    for key, p in model.named_parameters():
        assert bool((p.grad != 0).any()), key


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 18, 16), r"sides that are multiples of 4, got \(18, 16\); crop or pad to \(16, 16\)"),
        ((1, 3, 16, 3), r"multiples of 4, got \(16, 3\); crop or pad to \(16, 4\)"),
        ((1, 1, 16, 16), r"expected shape \(n, 3, h, w\), got \(1, 1, 16, 16\)"),
        ((3, 16, 16), r"expected shape \(n, 3, h, w\), got \(3, 16, 16\)"),
    ],
)
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match="autoencoder: input: expected .*" + message.removeprefix("expected ")):
        autoencoder("nearest")(pictures(*shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "autoencoder: width: expected an integer from 1, got 0"),
        ({"depth": 0}, "autoencoder: depth: expected an integer from 1 to 10, got 0"),
        ({"depth": 11}, "autoencoder: depth: expected an integer from 1 to 10, got 11"),
        ({"depth": "2"}, "autoencoder: depth: expected an integer from 1 to 10, got '2'"),
        ({"width": 129, "depth": 10}, "width: expected at most 65536 channels in the deepest of 10 stages, got 66048"),
        ({"width": 65537, "depth": 1}, "width: expected at most 65536 channels in the deepest of 1 stages, got 65537"),
        (
            {"scale": 16, "depth": 4},
            r"autoencoder: scale \*\* depth: expected at most 4096, got 65536; use a smaller d",
        ),
        ({"image_channels": 1.5}, "autoencoder: image_channels: expected an integer from 1 to 65536, got 1.5"),
        ({"image_channels": 65537}, "autoencoder: image_channels: expected an integer from 1 to 65536, got 65537"),
        ({"latent_channels": 65537}, "autoencoder: latent_channels: expected an integer from 1 to 65536, got 65537"),
        (
            {"downsampling": "average"},
            "autoencoder: downsampling: expected one of 'max_pool', 'strided', got 'average'",
        ),
        ({"scale": 1}, "autoencoder: scale: expected an integer from 2, got 1"),
        ({"latent_channels": 0}, "autoencoder: latent_channels: expected an integer from 1 to 65536, got 0"),
        ({"spatial_dims": 4}, r"autoencoder: spatial_dims: expected one of 1, 2, 3, got 4"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message), torch.device("meta"):  # should it pass, nothing is allocated
        Autoencoder(catalog.load("checkerscope.toolkit.upsamplers", "nearest"), **options)
