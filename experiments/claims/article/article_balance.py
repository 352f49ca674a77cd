"""What the choice of an upsampler costs in arithmetic, parameters and memory."""

from __future__ import annotations

import torch

from checkerscope.analysis.cost import inference_cost
from checkerscope.experiments.claims.article._cost import saved_bytes
from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, seeded
from checkerscope.toolkit import catalog

LABEL = "Weigh compute, memory and quality"
SOURCE = "founding article, section 4.3"
KIND = "article"
STATEMENT = "The choice has to balance compute, memory and output quality, because the alternatives differ in cost."

ARMS = {
    "transposed_conv_k4": ("transposed_conv", {"kernel_size": 4}),
    "transposed_conv_k2": ("transposed_conv", {"kernel_size": 2}),
    "nearest_conv": ("nearest_conv", {}),
    "bilinear_conv": ("bilinear_conv", {}),
    "pixel_shuffle": ("pixel_shuffle", {}),
    "bilinear": ("bilinear", {}),
}


def check(budget: str) -> Verdict:
    """Count for 64 to 64 channels, 32 x 32 to 64 x 64."""
    numbers: dict[str, Number] = {}
    for arm, (name, options) in ARMS.items():
        with seeded(0):
            layer = catalog.load("checkerscope.toolkit.upsamplers", name)(64, 64, **options)
            x = torch.randn(1, 64, 32, 32)
        cost = inference_cost(layer, x)
        numbers[f"{arm}_macs"] = exact(cost.macs / 1e6, "million")
        numbers[f"{arm}_parameters"] = exact(cost.parameters)
        numbers[f"{arm}_bytes_kept"] = exact(saved_bytes(layer, x), "bytes")
    macs = [numbers[f"{arm}_macs"].value for arm in ARMS if arm != "bilinear"]
    numbers["largest_over_smallest_macs"] = exact(max(macs) / min(macs), "times")
    return Verdict(
        judge(max(macs) > 2 * min(macs)),
        numbers,
        "The learned alternatives differ several times in arithmetic and in parameters. Nearest + convolution written"
        " as two steps does s^2 k^2 products per input value; merged into one transposed convolution, as counted"
        " here, (k + s - 1)^2.",
        key="largest_over_smallest_macs",
    )
