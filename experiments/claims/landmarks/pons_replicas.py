"""Sub-pixel layers: tones of every layer, and their replicas through the next ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over, pick, seeded
from checkerscope.toolkit.upsamplers.pixel_shuffle import PixelShuffle

LABEL = "Tones and their replicas"
SOURCE = "Pons 2021, arXiv:2010.14356, sections 4 and 5"
KIND = "landmark"
THEIR_SETTING = "Spectrograms of three sub-pixel layers on a constant at 4 kHz."
OUR_SETTING = "The same chain with 16 channels and no biases; share of power at each multiple of 4 kHz over draws."
PICTURE = {
    "title": "tones and replicas",
    "x": "frequency (kHz)",
    "y": "share of power",
    "series": {"all layers": "share_at_{}_khz", "first layer alone": "share_at_{}_khz_first_layer_only"},
}
STATEMENT = (
    "Three randomly initialized sub-pixel layers (x2) turn a constant at 4 kHz into tones at 4, 8 and 16 kHz, and the"
    " tones of earlier layers are replicated by later ones, at 8, 12 and 16 kHz."
)
RATE = 4000


def check(budget: str) -> Verdict:
    """Measure the share of power at every multiple of 4 kHz in 32 kHz output, of the first layer alone and of all."""
    first: dict[int, list[float]] = {}
    every: dict[int, list[float]] = {}
    for seed in range(pick(budget, smoke=10, full=100)):
        for target, clean in ((first, True), (every, False)):
            for kilohertz, value in _lines(seed, later_layers_clean=clean).items():
                target.setdefault(kilohertz, []).append(value)
    numbers: dict[str, Number] = {f"share_at_{f}_khz": over(values) for f, values in every.items()}
    numbers |= {f"share_at_{f}_khz_first_layer_only": over(values) for f, values in first.items()}
    return Verdict(
        judge(
            all(numbers[f"share_at_{f}_khz"].value > 1e-3 for f in (4, 8, 16)),
            numbers["share_at_12_khz"].value > 1e-3,
            numbers["share_at_12_khz_first_layer_only"].value > 1e-6,
        ),
        numbers,
        "Convolutions of 3 taps, 16 channels, no bias, ones as input. For the second row the later layers have one"
        " kernel for both phases (ICNR), so they add no tone of their own: what is left at 4 and 12 kHz is the first"
        " layer's tone and its replica; a tone at 8 or 16 kHz needs a layer that makes one there, since nearest"
        " enlargement has its zeros at those frequencies.",
        "Every layer adds its tones and replicates those before it, except where its own response is zero.",
        key="share_at_12_khz",
    )


def _lines(seed: int, *, later_layers_clean: bool) -> dict[int, float]:
    g = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for i in range(3):
        with seeded(seed):
            layer = PixelShuffle(16, 16, spatial_dims=1, bias=False)
        weight: Tensor = layer.conv.weight.data
        weight.normal_(0, 48**-0.5, generator=g)
        if later_layers_clean and i:
            weight.copy_(weight[::2].repeat_interleave(2, 0))
        layers.append(layer)
    with torch.no_grad():
        y = nn.Sequential(*layers)(torch.ones(1, 16, 40))[..., 128:192].double()
    power = torch.fft.rfft(y, dim=-1).abs().square().sum((0, 1))
    # 64 samples at 32 kHz: 4 kHz is bin 8
    total = power[::8].sum()
    return {4 * k: float(power[8 * k] / total) for k in range(5)}
