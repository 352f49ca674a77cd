"""The unpooling module of the article, on even and odd sizes."""

from __future__ import annotations

import torch

from checkerscope.experiments.claims.article._listings import run
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, seeded

LABEL = "Unpooling demo keeps the size"
SOURCE = "founding article, section 1.2"
KIND = "article"
STATEMENT = (
    "The demonstration module, which pools and unpools with output_size, returns a map of the size of its input."
)


def check(budget: str) -> Verdict:
    """Run the module on 16 x 16 and 15 x 15."""
    demo = run("1.2")["UnpoolingDemo"]()
    with seeded(0):
        outputs = {side: demo(torch.randn(1, 4, side, side)) for side in (16, 15)}
    zeros = {side: (y == 0).double().mean().item() for side, y in outputs.items()}
    return Verdict(
        judge(all(y.shape[2] == side for side, y in outputs.items())),
        {f"size_from_{side}": exact(y.shape[2], "pixels") for side, y in outputs.items()}
        | {f"zeros_at_{side}": exact(value, "share") for side, value in zeros.items()},
        "output_size saves the odd size, whose last row and column the pooling drops. The module pools and unpools the"
        " same tensor, so it enlarges nothing; a decoder needs the indices of its encoder.",
        key="size_from_15",
    )
