"""The table's fourth column, third row: transposed convolution for segmentation, in a U-Net as in section 4."""

from __future__ import annotations

from checkerscope.experiments.claims.article._uses import compare, plan, unbeaten
from checkerscope.experiments.verdicts.contract import Verdict, judge

LABEL = "Transposed convolution for segmentation"
SOURCE = "founding article, section 1.3"
KIND = "article"
STATEMENT = "The typical use of transposed convolution is segmentation: no other of the three methods serves it better."


def check(budget: str) -> Verdict:
    """Train U-Nets that differ in the upsampler and compare mean intersection over union, tone and cost."""
    steps, seeds, images = plan(budget)
    quality, numbers = compare("segmentation", budget)
    parts, gains = unbeaten(quality, "transposed", "intersection over union")
    return Verdict(
        judge(*parts),
        gains | numbers,
        f"U-Net of two stages and 8 channels on scenes of 32 x 32 with leaves of four classes and noise; {images} to"
        f" train on, {steps} steps, {seeds} seeds, tested on 64 others. Unbeaten: the interval of the difference,"
        " paired by seed, does not lie above 0. The skips bring every method the encoder's full resolution, so little"
        " is left for the upsampler to decide; the tone is that of the logits of constant images.",
        "In a U-Net with skips another of the three methods is better than transposed convolution.",
        key="bilinear_minus_transposed",
    )
