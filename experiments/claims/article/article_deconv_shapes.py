"""The 'not an inverse' experiment as printed: 8 to 4 to 8?"""

from __future__ import annotations

import torch
from torch import nn

from checkerscope.experiments.claims.article._listings import attempt
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, seeded

LABEL = "8 to 4 and back to 8"
SOURCE = "founding article, section 2.1"
KIND = "article"
STATEMENT = (
    "A convolution (k=3, s=2, p=1) turns 8 x 8 into 4 x 4, and a transposed one of the same parameters turns it back"
    " into 8 x 8."
)


def check(budget: str) -> Verdict:
    """Run the listing up to where it raises, and the two ways to mend it."""
    names, error = attempt("2.1")
    small, back = names["y"].shape[2], names["x_recon"].shape[2]
    with seeded(0):
        padded = nn.ConvTranspose2d(1, 1, 3, 2, 1, output_padding=1)(torch.zeros(1, 1, 4, 4))
        asked = nn.ConvTranspose2d(1, 1, 3, 2, 1)(torch.zeros(1, 1, 4, 4), output_size=(8, 8))
    return Verdict(
        judge(small == 4, back == 8, error is None),
        {
            "size_after_convolution": exact(small, "pixels"),
            "size_after_transposed": exact(back, "pixels"),
            "raises": exact(float(error is not None)),
            "size_with_output_padding_1": exact(padded.shape[2], "pixels"),
            "size_with_output_size": exact(asked.shape[2], "pixels"),
        },
        f"(4 - 1) 2 - 2 + 2 + 1 = 7, not 8; the listing then subtracts 7 x 7 from 8 x 8 and raises"
        f" {type(error).__name__}, so the printed error was never measured.",
        "Give output_padding=1 to the constructor, or output_size=x.shape to the call: then 8 becomes 4 becomes 8.",
        key="size_after_transposed",
    )
