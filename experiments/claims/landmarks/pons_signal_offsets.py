"""Offsets by biases and ReLU, and the tones that they drive."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.measures.tone import tone
from checkerscope.experiments.claims._compare import below, ratio
from checkerscope.experiments.verdicts.contract import Verdict, judge, over, pick, seeded

LABEL = "Offsets drive tones"
SOURCE = "Pons 2021, arXiv:2010.14356, section 5"
KIND = "landmark"
THEIR_SETTING = "Untrained Demucs (six levels, LSTM); spectrograms."
OUR_SETTING = "Untrained network of three such levels without the LSTM, white noise; tone over deviation."
STATEMENT = (
    "Removing the ReLU of the first layer and all biases of a Demucs-like network lowers its tonal artifacts at"
    " initialization, because replicas of signal offsets go."
)
DEPTH, PERIOD = 3, 64


def check(budget: str) -> Verdict:
    """Feed white noise to random Demucs-like networks with and without, and compare the tone with the noise."""
    seeds = pick(budget, smoke=10, full=60)
    original = [_tone(seed, modified=False) for seed in range(seeds)]
    modified = [_tone(seed, modified=True) for seed in range(seeds)]
    quotient = ratio(modified, original)
    return Verdict(
        judge(below(quotient, 1)),
        {
            "tone_original": over(original, "of the output's deviation"),
            "tone_modified": over(modified, "of the output's deviation"),
            "modified_over_original": quotient,
        },
        "Three levels of (convolution of length 8 and stride 4, ReLU, 1 x 1, GLU) and back, with added skips (the"
        " paper: six levels and an LSTM). RMS of the output's phase means of period 64 over its standard deviation.",
        "Offsets are not the main source of the tone in this network.",
        key="modified_over_original",
    )


class _Demucs(nn.Module):
    def __init__(self, modified: bool) -> None:
        super().__init__()
        channels = [1, *(8 * 2**i for i in range(DEPTH))]
        pairs = [(channels[i], channels[i + 1]) for i in range(DEPTH)]
        bias = not modified
        self.rectify_first = not modified
        self.down = nn.ModuleList(nn.Conv1d(i, o, 8, 4, 2, bias=bias) for i, o in pairs)
        self.gates = nn.ModuleList(nn.Conv1d(o, 2 * o, 1, bias=bias) for _, o in pairs)
        self.merge = nn.ModuleList(nn.Conv1d(o, 2 * o, 3, padding=1, bias=bias) for _, o in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose1d(o, i, 8, 4, 2, bias=bias) for i, o in pairs)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level in range(DEPTH):
            x = self.down[level](x)
            x = F.relu(x) if level or self.rectify_first else x
            x = F.glu(self.gates[level](x), 1)
            skips.append(x)
        for level in reversed(range(DEPTH)):
            x = self.up[level](F.glu(self.merge[level](x + skips[level]), 1))
            x = F.relu(x) if level else x
        return x


def _tone(seed: int, *, modified: bool) -> float:
    with seeded(seed):
        network, x = _Demucs(modified), torch.randn(8, 1, 16384)
    with torch.no_grad():
        y = network(x)[..., 512:-512].double()
    return tone(y, PERIOD) / float(y.std())
