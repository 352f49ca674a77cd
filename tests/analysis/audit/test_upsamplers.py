"""The audit against what is known of every upsampler of the study, and of trained autoencoders."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn

from checkerscope.analysis.audit.flat_answers import FLAT_INPUTS
from checkerscope.analysis.audit.probing import probes
from checkerscope.analysis.audit.procedure import audit
from checkerscope.analysis.measures.decoder_probe import decoder_probe
from checkerscope.analysis.measures.tone import tone
from checkerscope.toolkit import catalog
from checkerscope.toolkit.networks.autoencoder import Autoencoder
from checkerscope.toolkit.response import phase_gains
from checkerscope.toolkit.training.engine import Recipe
from checkerscope.toolkit.training.loop import train

COMPONENTS = catalog.describe("checkerscope.toolkit.upsamplers")
LINEAR = [
    c.name
    for c in COMPONENTS
    if c.flags["linear"] and not c.flags.get("needs_context") and 2 in c.flags.get("dims", (1, 2, 3))
]


@pytest.mark.parametrize("name", LINEAR)
def test_clean_means_equal_phase_gains(name: str) -> None:
    """The verdict comes from flat inputs, the phase gains from impulses: two ways to one answer."""
    torch.manual_seed(0)
    cls = catalog.load("checkerscope.toolkit.upsamplers", name)
    upsampler = cls(4, 3, scale=2)
    report = audit(upsampler, torch.randn(1, 4, 12, 12, generator=torch.Generator().manual_seed(1)))
    gains = phase_gains(upsampler).flatten(2)
    unequal = float((gains - gains.mean(-1, keepdim=True)).abs().max() / gains.abs().max())
    assert report.layers
    assert report.clean is (unequal < 1e-5), report.verdict


@functools.lru_cache
def trained(name: str) -> tuple[Autoencoder, Tensor]:
    """An autoencoder after 60 steps on noise that is smooth, and images of the same kind."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(64, 3, 8, 8, generator=generator)
    images = nn.functional.interpolate(rough, scale_factor=4, mode="bicubic").clamp(0, 1)
    torch.manual_seed(0)
    cls = catalog.load("checkerscope.toolkit.upsamplers", name)
    model = Autoencoder(functools.partial(cls, scale=2), width=8, latent_channels=8)
    train(model, images, recipe=Recipe(steps=60, batch_size=8, learning_rate=3e-3), seed=0)
    return model, images


class Decoder(nn.Module):
    """The decoder of an autoencoder as a model."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, latents: Tensor) -> Tensor:
        return self.model.decode(latents)


@pytest.mark.parametrize("name", ["nearest_conv", "pixel_shuffle", "transposed_conv"])
def test_trained_decoders_read_what_the_decoder_probe_reads(name: str) -> None:
    """One crops a border, the other has none; the verdict on the whole autoencoder is the decoder's."""
    model, images = trained(name)
    with torch.no_grad():
        latents = model.encode(images[:1])[0]
    report = audit(Decoder(model), latents)
    generator, given = torch.Generator().manual_seed(0), probes.arguments(latents)
    probes.noise(given, 2, generator)
    flat = [x[0][0][..., :1, :1] for x in probes.flats(given, 2, generator, count=FLAT_INPUTS)]
    power = sum(tone(decoder_probe(model.decode, x, model.period), model.period) ** 2 for x in flat) / FLAT_INPUTS
    own = report.contrast**2 * 10 ** (report.tone_db / 10)
    assert own == pytest.approx(power, rel=1e-3, abs=1e-12)
    assert report.clean is (name == "nearest_conv")
    assert audit(model, images[:2]).clean is report.clean
