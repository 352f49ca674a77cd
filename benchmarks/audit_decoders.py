"""Decoders of installed packages in small configs with random weights, each with the shape of an example.

A factory per decoder; a wrapper where the part that makes the map is not what the package calls `forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Decoder:
    """One decoder.

    Attributes:
        package: Where it comes from.
        build: Makes it.
        shape: Of its first input.
        more: Further inputs by name.
        dims: Spatial axes where shapes do not tell.
    """

    package: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    more: Mapping[str, Any] = field(default_factory=dict)
    dims: int | None = None


class Part(nn.Module):
    """What a function makes of a whole model: its decoder, say."""

    def __init__(self, whole: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.whole, self.call = whole, call

    def forward(self, x: Tensor, **more: Any) -> Any:
        """Return what the part returns."""
        return self.call(self.whole, x, **more)


def _decoder(whole: nn.Module) -> nn.Module:
    return Part(whole, lambda m, z: m.decode(z).sample)


def _diffusers(name: str, **options: Any) -> Any:
    import diffusers

    return getattr(diffusers, name)(**options)


def _monai(name: str, **options: Any) -> Any:
    from monai.networks import blocks, nets

    return getattr(nets if hasattr(nets, name) else blocks, name)(**options)


def _transformers(name: str, config: str, **options: Any) -> Any:
    import transformers

    return getattr(transformers, name)(getattr(transformers, config)(**options))


STEP = {"timestep": torch.tensor([5])}


def _kl() -> nn.Module:
    return _decoder(
        _diffusers(
            "AutoencoderKL",
            block_out_channels=(16, 32, 32),
            norm_num_groups=8,
            latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
        )
    )


def _unet2d(**options: Any) -> nn.Module:
    made = {
        "sample_size": 16,
        "in_channels": 3,
        "out_channels": 3,
        "layers_per_block": 1,
        "block_out_channels": (16, 32),
        "norm_num_groups": 8,
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
        **options,
    }
    return Part(_diffusers("UNet2DModel", **made), lambda m, x: m(x, 5).sample)


def _wan() -> nn.Module:
    return _decoder(_diffusers("AutoencoderKLWan", base_dim=4, z_dim=4, dim_mult=[1, 2, 2, 2], num_res_blocks=1))


def _video(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: _decoder(_diffusers(name, **options))


def _swin(upsampler: str) -> Callable[[], nn.Module]:
    return lambda: _transformers(
        "Swin2SRForImageSuperResolution",
        "Swin2SRConfig",
        image_size=16,
        embed_dim=12,
        depths=[2, 2],
        num_heads=[2, 2],
        upscale=4 if upsampler == "nearest+conv" else 2,
        upsampler=upsampler,
        window_size=8,
    )


def _vocoder(whole: nn.Module) -> nn.Module:
    return Part(whole, lambda m, x: m(x.transpose(1, 2)))


COG = {
    "block_out_channels": (8, 8, 8, 8),
    "latent_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "temporal_compression_ratio": 4,
    "down_block_types": ("CogVideoXDownBlock3D",) * 4,
    "up_block_types": ("CogVideoXUpBlock3D",) * 4,
}
UNETR = {"in_channels": 1, "out_channels": 2, "feature_size": 8}

DECODERS: dict[str, Decoder] = {
    # diffusers: autoencoders of images, audio and video
    "AutoencoderKL": Decoder("diffusers", _kl, (1, 4, 8, 8)),
    "AutoencoderTiny": Decoder(
        "diffusers", lambda: _decoder(_diffusers("AutoencoderTiny", decoder_block_out_channels=(16,) * 4)), (1, 4, 8, 8)
    ),
    "AsymmetricAutoencoderKL": Decoder(
        "diffusers",
        lambda: Part(
            _diffusers(
                "AsymmetricAutoencoderKL",
                down_block_out_channels=(16, 32),
                up_block_out_channels=(16, 32),
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                norm_num_groups=8,
            ),
            lambda m, z: m.decode(z).sample,
        ),
        (1, 4, 8, 8),
    ),
    "VQModel": Decoder(
        "diffusers",
        lambda: Part(
            _diffusers(
                "VQModel",
                block_out_channels=(16, 32),
                norm_num_groups=8,
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
            ),
            lambda m, z: m.decode(z, force_not_quantize=True).sample,
        ),
        (1, 3, 8, 8),
    ),
    "AutoencoderDC, pixel shuffle": Decoder(
        "diffusers",
        _video(
            "AutoencoderDC",
            in_channels=3,
            latent_channels=4,
            encoder_block_out_channels=(8, 16),
            decoder_block_out_channels=(8, 16),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            encoder_block_types="ResBlock",
            decoder_block_types="ResBlock",
            encoder_qkv_multiscales=((), ()),
            decoder_qkv_multiscales=((), ()),
            upsample_block_type="pixel_shuffle",
        ),
        (1, 4, 8, 8),
    ),
    "AutoencoderDC, interpolate": Decoder(
        "diffusers",
        _video(
            "AutoencoderDC",
            in_channels=3,
            latent_channels=4,
            encoder_block_out_channels=(8, 16),
            decoder_block_out_channels=(8, 16),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            encoder_block_types="ResBlock",
            decoder_block_types="ResBlock",
            encoder_qkv_multiscales=((), ()),
            decoder_qkv_multiscales=((), ()),
            upsample_block_type="interpolate",
        ),
        (1, 4, 8, 8),
    ),
    "AutoencoderOobleck": Decoder(
        "diffusers",
        _video(
            "AutoencoderOobleck",
            encoder_hidden_size=8,
            downsampling_ratios=[2, 4],
            channel_multiples=[1, 2],
            decoder_channels=8,
            decoder_input_channels=4,
        ),
        (1, 4, 32),
    ),
    "AutoencoderKLWan": Decoder("diffusers", _wan, (1, 4, 2, 4, 4)),
    "AutoencoderKLWan, one frame": Decoder("diffusers", _wan, (1, 4, 1, 4, 4)),
    "AutoencoderKLCogVideoX": Decoder("diffusers", _video("AutoencoderKLCogVideoX", **COG), (1, 4, 2, 4, 4)),
    "AutoencoderKLCogVideoX, one frame": Decoder("diffusers", _video("AutoencoderKLCogVideoX", **COG), (1, 4, 1, 4, 4)),
    "AutoencoderKLHunyuanVideo, one frame": Decoder(
        "diffusers",
        _video(
            "AutoencoderKLHunyuanVideo",
            latent_channels=4,
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            norm_num_groups=4,
        ),
        (1, 4, 1, 4, 4),
    ),
    "AutoencoderKLLTXVideo": Decoder(
        "diffusers",
        _video(
            "AutoencoderKLLTXVideo",
            latent_channels=8,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
        ),
        (1, 8, 2, 4, 4),
    ),
    "AutoencoderKLLTXVideo, one frame": Decoder(
        "diffusers",
        _video(
            "AutoencoderKLLTXVideo",
            latent_channels=8,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
        ),
        (1, 8, 1, 4, 4),
    ),
    "AutoencoderKLMochi, one frame": Decoder(
        "diffusers",
        _video(
            "AutoencoderKLMochi",
            latent_channels=4,
            out_channels=3,
            encoder_block_out_channels=(32, 32, 32, 32),
            decoder_block_out_channels=(32, 32, 32, 32),
            layers_per_block=(1, 1, 1, 1, 1),
        ),
        (1, 4, 1, 4, 4),
    ),
    "AutoencoderKLCosmos, one frame": Decoder(
        "diffusers",
        _video(
            "AutoencoderKLCosmos",
            latent_channels=4,
            encoder_block_out_channels=(8, 8, 8),
            decode_block_out_channels=(8, 8, 8),
            attention_resolutions=(8,),
            resolution=32,
            num_layers=1,
        ),
        (1, 4, 1, 4, 4),
    ),
    "AutoencoderKLMagvit": Decoder(
        "diffusers",
        _video(
            "AutoencoderKLMagvit",
            latent_channels=4,
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            norm_num_groups=4,
            down_block_types=[
                "SpatialDownBlock3D",
                "SpatialTemporalDownBlock3D",
                "SpatialTemporalDownBlock3D",
                "SpatialTemporalDownBlock3D",
            ],
            up_block_types=[
                "SpatialUpBlock3D",
                "SpatialTemporalUpBlock3D",
                "SpatialTemporalUpBlock3D",
                "SpatialTemporalUpBlock3D",
            ],
        ),
        (1, 4, 2, 4, 4),
    ),
    "AutoencoderKLTemporalDecoder": Decoder(
        "diffusers",
        lambda: Part(
            _diffusers(
                "AutoencoderKLTemporalDecoder",
                block_out_channels=(32, 32),
                down_block_types=("DownEncoderBlock2D",) * 2,
            ),
            lambda m, z: m.decode(z, num_frames=1).sample,
        ),
        (1, 4, 8, 8),
    ),
    "PaellaVQ blocks, transposed": Decoder(
        "diffusers", lambda: _blocks("Upsample2D", channels=8, use_conv_transpose=True), (1, 8, 8, 8)
    ),
    "Upsample2D": Decoder("diffusers", lambda: _blocks("Upsample2D", channels=8, use_conv=True), (1, 8, 8, 8)),
    "FirUpsample2D": Decoder(
        "diffusers", lambda: _blocks("FirUpsample2D", channels=8, out_channels=8, use_conv=True), (1, 8, 8, 8)
    ),
    "KUpsample2D": Decoder("diffusers", lambda: _blocks("KUpsample2D"), (1, 8, 8, 8)),
    # diffusers: denoisers
    "UNet2DModel": Decoder("diffusers", _unet2d, (1, 3, 16, 16)),
    "UNet2DModel, transposed": Decoder(
        "diffusers", lambda: _unet2d(upsample_type="resnet", resnet_time_scale_shift="default"), (1, 3, 16, 16)
    ),
    "DiT": Decoder(
        "diffusers",
        lambda: Part(
            _diffusers(
                "DiTTransformer2DModel",
                sample_size=16,
                patch_size=2,
                num_attention_heads=2,
                attention_head_dim=8,
                num_layers=2,
                in_channels=4,
                out_channels=4,
            ),
            lambda m, x: m(x, timestep=torch.tensor([5]), class_labels=torch.tensor([1])).sample,
        ),
        (1, 4, 16, 16),
    ),
    # monai
    "UNet": Decoder(
        "monai",
        lambda: _monai("UNet", spatial_dims=2, in_channels=1, out_channels=2, channels=(8, 16, 32), strides=(2, 2)),
        (1, 1, 32, 32),
    ),
    "BasicUNet": Decoder(
        "monai",
        lambda: _monai("BasicUNet", spatial_dims=2, in_channels=1, features=(8, 8, 16, 16, 16, 8)),
        (1, 1, 64, 64),
    ),
    "BasicUNet, nontrainable": Decoder(
        "monai",
        lambda: _monai(
            "BasicUNet", spatial_dims=2, in_channels=1, features=(8, 8, 16, 16, 16, 8), upsample="nontrainable"
        ),
        (1, 1, 64, 64),
    ),
    "BasicUNet, pixelshuffle": Decoder(
        "monai",
        lambda: _monai(
            "BasicUNet", spatial_dims=2, in_channels=1, features=(8, 8, 16, 16, 16, 8), upsample="pixelshuffle"
        ),
        (1, 1, 64, 64),
    ),
    "BasicUNetPlusPlus": Decoder(
        "monai",
        lambda: _monai("BasicUNetPlusPlus", spatial_dims=2, in_channels=1, features=(8, 8, 16, 16, 16, 8)),
        (1, 1, 32, 32),
    ),
    "AttentionUnet": Decoder(
        "monai",
        lambda: _monai(
            "AttentionUnet", spatial_dims=2, in_channels=1, out_channels=2, channels=(8, 16, 32), strides=(2, 2)
        ),
        (1, 1, 32, 32),
    ),
    "DynUNet": Decoder(
        "monai",
        lambda: _monai(
            "DynUNet",
            spatial_dims=2,
            in_channels=1,
            out_channels=2,
            kernel_size=[3, 3, 3],
            strides=[1, 2, 2],
            upsample_kernel_size=[2, 2],
            filters=[8, 16, 32],
        ),
        (1, 1, 32, 32),
    ),
    "UNETR": Decoder(
        "monai",
        lambda: _monai("UNETR", img_size=32, hidden_size=24, mlp_dim=32, num_heads=2, spatial_dims=2, **UNETR),
        (1, 1, 32, 32),
    ),
    "SwinUNETR": Decoder(
        "monai",
        lambda: _monai("SwinUNETR", spatial_dims=2, in_channels=1, out_channels=2, feature_size=12),
        (1, 1, 64, 64),
    ),
    "SegResNet": Decoder("monai", lambda: _monai("SegResNet", spatial_dims=2, init_filters=8), (1, 1, 32, 32)),
    "SegResNet, deconv": Decoder(
        "monai", lambda: _monai("SegResNet", spatial_dims=2, init_filters=8, upsample_mode="deconv"), (1, 1, 32, 32)
    ),
    "SegResNet, pixelshuffle": Decoder(
        "monai",
        lambda: _monai("SegResNet", spatial_dims=2, init_filters=8, upsample_mode="pixelshuffle"),
        (1, 1, 32, 32),
    ),
    "SegResNetDS": Decoder(
        "monai", lambda: _monai("SegResNetDS", spatial_dims=2, init_filters=8, dsdepth=2), (1, 1, 32, 32)
    ),
    "VNet": Decoder("monai", lambda: _monai("VNet", spatial_dims=2), (1, 1, 32, 32)),
    "AutoEncoder": Decoder(
        "monai",
        lambda: _monai("AutoEncoder", spatial_dims=2, in_channels=1, out_channels=1, channels=(8, 16), strides=(2, 2)),
        (1, 1, 32, 32),
    ),
    "VarAutoEncoder": Decoder(
        "monai",
        lambda: _monai(
            "VarAutoEncoder",
            spatial_dims=2,
            in_shape=(1, 32, 32),
            out_channels=1,
            latent_size=8,
            channels=(8, 16),
            strides=(2, 2),
        ),
        (1, 1, 32, 32),
    ),
    "Generator": Decoder(
        "monai",
        lambda: _monai("Generator", latent_shape=(8,), start_shape=(8, 4, 4), channels=(16, 8), strides=(2, 2)),
        (2, 8),
    ),
    "SubpixelUpsample": Decoder(
        "monai",
        lambda: _monai("SubpixelUpsample", spatial_dims=2, in_channels=8, out_channels=4, scale_factor=2),
        (1, 8, 16, 16),
    ),
    "SubpixelUpsample, unpadded": Decoder(
        "monai",
        lambda: _monai(
            "SubpixelUpsample", spatial_dims=2, in_channels=8, out_channels=4, scale_factor=2, apply_pad_pool=False
        ),
        (1, 8, 16, 16),
    ),
    "SPADEAutoencoderKL": Decoder(
        "monai",
        lambda: Part(
            _monai(
                "AutoencoderKL",
                spatial_dims=2,
                channels=(8, 8),
                attention_levels=(False, False),
                num_res_blocks=(1, 1),
                norm_num_groups=4,
                latent_channels=4,
            ),
            lambda m, z: m.decode(z),
        ),
        (1, 4, 8, 8),
    ),
    "VQVAE": Decoder(
        "monai",
        lambda: Part(
            _monai(
                "VQVAE",
                spatial_dims=2,
                in_channels=1,
                out_channels=1,
                channels=(8, 8),
                num_res_channels=(8, 8),
                num_res_layers=1,
                embedding_dim=4,
                downsample_parameters=((2, 4, 1, 1),) * 2,
                upsample_parameters=((2, 4, 1, 1, 0),) * 2,
            ),
            lambda m, z: m.decode(z),
        ),
        (1, 4, 8, 8),
    ),
    # transformers: images
    "Swin2SR, pixelshuffle": Decoder("transformers", _swin("pixelshuffle"), (1, 3, 16, 16)),
    "Swin2SR, pixelshuffledirect": Decoder("transformers", _swin("pixelshuffledirect"), (1, 3, 16, 16)),
    "Swin2SR, nearest+conv": Decoder("transformers", _swin("nearest+conv"), (1, 3, 16, 16)),
    "DPT": Decoder(
        "transformers",
        lambda: _transformers(
            "DPTForDepthEstimation",
            "DPTConfig",
            image_size=64,
            patch_size=16,
            hidden_size=24,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=32,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[8, 8, 16, 16],
            fusion_hidden_size=8,
        ),
        (1, 3, 64, 64),
    ),
    "Segformer": Decoder(
        "transformers",
        lambda: _transformers(
            "SegformerForSemanticSegmentation",
            "SegformerConfig",
            hidden_sizes=[8, 8, 16, 16],
            depths=[1, 1, 1, 1],
            decoder_hidden_size=16,
            num_attention_heads=[1, 1, 2, 2],
        ),
        (1, 3, 64, 64),
    ),
    "Sam, mask decoder": Decoder("transformers", lambda: _sam(), (1, 256, 8, 8)),
    # transformers: audio
    "SpeechT5HifiGan": Decoder(
        "transformers",
        lambda: _vocoder(
            _transformers(
                "SpeechT5HifiGan",
                "SpeechT5HifiGanConfig",
                model_in_dim=8,
                upsample_initial_channel=16,
                upsample_rates=[4, 4],
                upsample_kernel_sizes=[8, 8],
            )
        ),
        (1, 8, 32),
    ),
    "UnivNet": Decoder(
        "transformers",
        lambda: Part(
            _transformers(
                "UnivNetModel",
                "UnivNetConfig",
                model_hidden_channels=4,
                num_mel_bins=8,
                model_in_channels=8,
                resblock_stride_sizes=[4, 2],
                resblock_kernel_sizes=[3, 3],
                resblock_dilation_sizes=[[1, 3], [1, 3]],
                kernel_predictor_hidden_channels=8,
            ),
            lambda m, x: m(x.transpose(1, 2), noise_sequence=torch.randn(len(x), x.shape[2], 8)).waveforms,
        ),
        (1, 8, 32),
    ),
    "Encodec": Decoder(
        "transformers",
        lambda: Part(
            _transformers(
                "EncodecModel",
                "EncodecConfig",
                num_filters=4,
                hidden_size=8,
                upsampling_ratios=[4, 2],
                num_residual_layers=1,
            ),
            lambda m, z: m.decoder(z),
        ),
        (1, 8, 32),
    ),
    "Dac": Decoder(
        "transformers",
        lambda: Part(
            _transformers(
                "DacModel",
                "DacConfig",
                encoder_hidden_size=4,
                downsampling_ratios=[2, 4],
                decoder_hidden_size=16,
                upsampling_ratios=[4, 2],
                hidden_size=8,
            ),
            lambda m, z: m.decoder(z),
        ),
        (1, 8, 32),
    ),
    "Mimi": Decoder(
        "transformers",
        lambda: Part(
            _transformers(
                "MimiModel",
                "MimiConfig",
                num_filters=4,
                hidden_size=8,
                upsampling_ratios=[4, 2],
                num_hidden_layers=1,
                num_attention_heads=2,
                num_key_value_heads=2,
                intermediate_size=8,
                codebook_dim=4,
                vector_quantization_hidden_dimension=4,
                head_dim=4,
                upsample_groups=8,
            ),
            lambda m, z: m.decoder(z),
        ),
        (1, 8, 32),
    ),
}


def _blocks(name: str, **options: Any) -> nn.Module:
    from diffusers.models import upsampling

    return getattr(upsampling, name)(**options)


def _sam() -> nn.Module:
    from transformers import SamConfig, SamModel

    config = SamConfig(
        vision_config={
            "hidden_size": 16,
            "output_channels": 256,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 128,
            "mlp_dim": 16,
            "global_attn_indexes": [0],
        },
        prompt_encoder_config={"image_size": 128, "image_embedding_size": 8},
        mask_decoder_config={"mlp_dim": 32, "num_hidden_layers": 1},
    )

    def run(m: nn.Module, x: Tensor) -> Any:
        return m(image_embeddings=x, input_points=torch.full((len(x), 1, 1, 2), 60.0), multimask_output=True).pred_masks

    return Part(SamModel(config), run)
