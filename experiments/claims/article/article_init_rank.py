"""How many different output channels does the article's initialization make?"""

from __future__ import annotations

import torch
from torch import nn

from checkerscope.experiments.claims.article._listings import attempt
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge, seeded

LABEL = "The initialization breaks symmetry"
SOURCE = "founding article, section 4.2"
KIND = "article"
STATEMENT = "After the initialization listing the layer's channels can learn different things (implied)."


def check(budget: str) -> Verdict:
    """Look at the rank of the weight matrix and at the difference of output channels."""
    fill = attempt("4.2")[0]["init_weights"]
    with seeded(0), torch.no_grad():
        layer = nn.ConvTranspose2d(64, 32, 2, 2)
        before = int(torch.linalg.matrix_rank(layer.weight.flatten(1)))
        fill(layer)
        rank = int(torch.linalg.matrix_rank(layer.weight.flatten(1)))
        y = layer(torch.randn(1, 64, 8, 8))
    spread = (y - y.mean(1, keepdim=True)).abs().max().item()
    return Verdict(
        judge(rank > 1, spread > 1e-4),
        {
            "rank_before": exact(before),
            "rank_after": exact(rank),
            "largest_difference_of_output_channels": exact(spread),
        },
        "All weights are equal: the 64 x 128 weight matrix has rank one and the 32 output channels are copies, so only"
        " the layers behind can make their gradients differ.",
        "Use a random start, or one that passes each channel on by itself.",
        key="rank_after",
    )
