"""The table's fourth column, first row: bilinear interpolation for what a classification network shows."""

from __future__ import annotations

from checkerscope.experiments.claims.article._uses import compare, plan, unbeaten
from checkerscope.experiments.verdicts.contract import Verdict, judge

LABEL = "Bilinear for activation maps"
SOURCE = "founding article, section 1.3"
KIND = "article"
STATEMENT = (
    "The typical use of bilinear interpolation is the visualization of classification networks by class activation"
    " maps: no other of the three methods serves it better."
)


def check(budget: str) -> Verdict:
    """Train classifiers whose class maps are enlarged by each method, and see how well the maps locate the class."""
    steps, seeds, images = plan(budget)
    quality, numbers = compare("activation_map", budget)
    parts, gains = unbeaten(quality, "bilinear", "area under the ROC curve")
    return Verdict(
        judge(*parts),
        gains | numbers,
        f"Scenes of 32 x 32 with leaves of four classes; {images} to train on, labelled only by the class that covers"
        f" most, {steps} steps, {seeds} seeds. Two stages of pooling, two of the upsampler, 1 x 1 convolution, mean"
        " over pixels: the maps before the mean are shown. Quality: area under the ROC curve of the main class's map"
        " against that class's pixels, on 64 other scenes. Unbeaten: the interval of the difference, paired by seed,"
        " does not lie above 0. Unpooling is told the encoder's positions; the tone is that of the maps of constant"
        " images.",
        "Another method's maps locate the class better here; what bilinear interpolation keeps is that its maps have no"
        " grid and no parameters.",
        key="transposed_minus_bilinear",
    )
