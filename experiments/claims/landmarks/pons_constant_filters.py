"""Constant filters: tones with partial overlap, none with full overlap."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from checkerscope.analysis.measures.tone import tone_fraction
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge

LABEL = "Constant filters: partial overlap sings"
SOURCE = "Pons 2021, arXiv:2010.14356, section 2"
KIND = "landmark"
THEIR_SETTING = "Spectrograms of single audio layers with filters of ones."
OUR_SETTING = (
    "The same filters (length 8, strides 6 and 4; length 3, stride 2) on ones; share of tone away from the ends."
)
STATEMENT = (
    "With constant filters a length that is no multiple of the stride introduces a tone, a multiple does not; both"
    " leave boundary artifacts."
)


def check(budget: str) -> Verdict:
    """Feed ones to filters of ones: length 8 with strides 6 and 4, and length 3 with stride 2."""
    inside, edge = {}, {}
    for k, s in ((8, 6), (8, 4), (3, 2)):
        y = _ones(k, s)
        inside[f"k{k}s{s}"] = tone_fraction(y[..., 4 * s : -4 * s][..., : 8 * s], s)
        edge[f"k{k}s{s}"] = float((y[..., :s] - y[..., 4 * s : 5 * s]).abs().max())
    return Verdict(
        judge(inside["k8s6"] > 1e-3 and inside["k3s2"] > 1e-3, inside["k8s4"] < 1e-9, min(edge.values()) > 0.5),
        {f"tone_fraction_{name}": exact(value) for name, value in inside.items()}
        | {f"boundary_deviation_{name}": exact(value) for name, value in edge.items()},
        "The share of the output's power that is tone, away from the ends, where there is nothing but the overlap;"
        " and how far the first outputs are from the same phase inside. The paper shows spectrograms of the same"
        " filters.",
    )


def _ones(k: int, s: int) -> Tensor:
    x, h = torch.ones(1, 1, 20, dtype=torch.float64), torch.ones(1, 1, k, dtype=torch.float64)
    return F.conv_transpose1d(x, h, stride=s)
