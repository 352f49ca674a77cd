"""Decoders of other people's packages, built from a config with random weights: nothing is downloaded.

    pip install -c constraints.txt 'checkerscope[audit-examples]'
    checkerscope audit benchmarks.audit_models:autoencoder_kl --input 1,4,8,8

Seed 0 each. Random weights show what the architecture does before training; pass `--weights` for what it has learned.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Latents(nn.Module):
    """The decoder half of a latent autoencoder, from latents to images."""

    def __init__(self, widen: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.widen, self.decoder = widen, decoder

    def forward(self, latents: Tensor) -> Tensor:
        """Return images (N, 3, 8 H, 8 W) from latents (N, 4, H, W)."""
        return self.decoder(self.widen(latents))


class Spectrogram(nn.Module):
    """A vocoder that takes (N, mel, time) rather than (N, time, mel)."""

    def __init__(self, vocoder: nn.Module) -> None:
        super().__init__()
        self.vocoder = vocoder

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Return a waveform (N, samples)."""
        return self.vocoder(spectrogram.transpose(1, 2))


def autoencoder_kl() -> nn.Module:
    """Return diffusers' AutoencoderKL decoder at the size of Stable Diffusion's: 49.5 million parameters."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    whole = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    return Latents(whole.post_quant_conv, whole.decoder)


def monai_unet() -> nn.Module:
    """Return MONAI's residual U-Net for images, whose decoder is transposed convolutions."""
    from monai.networks.nets import UNet

    torch.manual_seed(0)
    return UNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=2,
        channels=(16, 32, 64, 128, 256),
        strides=(2, 2, 2, 2),
        num_res_units=2,
    )


def swin2sr() -> nn.Module:
    """Return transformers' lightweight Swin2SR, twice the size by a sub-pixel convolution."""
    from transformers import Swin2SRConfig, Swin2SRForImageSuperResolution

    torch.manual_seed(0)
    config = Swin2SRConfig(
        image_size=32, embed_dim=60, depths=[6] * 4, num_heads=[6] * 4, upscale=2, upsampler="pixelshuffledirect"
    )
    return Swin2SRForImageSuperResolution(config)


def hifigan() -> nn.Module:
    """Return transformers' HiFi-GAN vocoder of SpeechT5, 256 samples per frame by transposed convolutions."""
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    torch.manual_seed(0)
    return Spectrogram(SpeechT5HifiGan(SpeechT5HifiGanConfig()))
