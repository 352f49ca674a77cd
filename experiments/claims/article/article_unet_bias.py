"""Biases in front of batch normalisation."""

from __future__ import annotations

import torch
from torch import nn

from checkerscope.experiments.claims.article._listings import run
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, seeded

LABEL = "Biases before batch norm"
SOURCE = "founding article, section 4.1"
KIND = "article"
STATEMENT = "The block's convolutions carry biases although batch normalisation follows, as if they mattered."


def check(budget: str) -> Verdict:
    """Change the biases of both convolutions by about one and look at the output in training mode."""
    names = run("4.1")
    with seeded(0):
        block = names["UNetUpBlock"](8, 4).double()
        x, skip = torch.randn(4, 8, 8, 8).double(), torch.randn(4, 4, 16, 16).double()
        before = block(x, skip)
        convolutions = [module for module in block.conv if isinstance(module, nn.Conv2d)]
        for convolution in convolutions:
            nn.init.normal_(convolution.bias)  # type: ignore[arg-type]
        change = (block(x, skip) - before).abs().max().item()
    biases = sum(int(c.bias.numel()) for c in convolutions if c.bias is not None)
    return Verdict(
        judge(change > 1e-6),
        {"change_of_the_output": exact(change), "parameters_without_effect": exact(biases)},
        "Batch normalisation subtracts the mean of every channel, and the bias with it.",
        "Pass bias=False to a convolution that batch normalisation follows.",
    )
