"""The table's fourth column, second row: unpooling for autoencoders."""

from __future__ import annotations

from checkerscope.experiments.claims._autoencoder import plan, setting
from checkerscope.experiments.claims.article._uses import compare_autoencoders, unbeaten
from checkerscope.experiments.verdicts.contract import Verdict, judge

LABEL = "Unpooling for autoencoders"
SOURCE = "founding article, section 1.3"
KIND = "article"
STATEMENT = "The typical use of unpooling is the autoencoder: no other of the three methods serves it better."


def check(budget: str) -> Verdict:
    """Train autoencoders with each method and compare reconstruction, tone and cost."""
    quality, numbers = compare_autoencoders(budget)
    parts, gains = unbeaten(quality, "unpooling", "dB")
    return Verdict(
        judge(*parts),
        gains | numbers,
        setting(*plan(budget)) + " Unbeaten: the interval of the difference, paired by seed, does not lie above 0."
        " Unpooling is told the positions of the encoder's maxima, which pass beside the bottleneck: its code is"
        " larger than that of the others, and a decoder alone cannot run.",
        "With the same bottleneck another method reconstructs better, although unpooling is told the encoder's"
        " positions.",
        key="transposed_minus_unpooling",
    )
