"""What bilinear interpolation does to high frequencies, from its exact response."""

from __future__ import annotations

import torch

from checkerscope.experiments.verdicts.contract import Verdict, exact, judge
from checkerscope.toolkit.response import alias_gains
from checkerscope.toolkit.upsamplers.bilinear import Bilinear

LABEL = "Bilinear is smooth, loses high frequencies"
SOURCE = "founding article, section 1.1"
KIND = "article"
STATEMENT = "The result of bilinear interpolation is smooth but may lose high-frequency detail."


def check(budget: str) -> Verdict:
    """Read the gain of signal and replica at a low and a high frequency of the input (1-D, scale 2)."""
    frequencies = torch.tensor([0.05, 0.25, 0.4])
    gains = alias_gains(Bilinear(1, 1, spatial_dims=1), frequencies).abs()[0, 0]  # (replica, frequency)
    signal, replica = gains[0].tolist(), gains[1].tolist()
    return Verdict(
        judge(signal[0] > 0.9, signal[2] < 0.71),
        {
            "signal_gain_at_0_05": exact(signal[0]),
            "signal_gain_at_0_25": exact(signal[1]),
            "signal_gain_at_0_40": exact(signal[2]),
            "replica_gain_at_0_25": exact(replica[1]),
            "replica_gain_at_0_40": exact(replica[2]),
        },
        "Frequencies are in cycles per input pixel. Low ones pass, high ones are weakened by more than 3 dB. What the"
        " article leaves out: the same response puts a copy of every high frequency beside it, the spectral replica.",
        key="signal_gain_at_0_40",
    )
