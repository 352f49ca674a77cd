"""How strong is the output under the article's initialization?"""

from __future__ import annotations

import torch
from torch import nn

from checkerscope.experiments.claims.article._listings import attempt
from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, over, pick, seeded

LABEL = "The initialization keeps the signal's scale"
SOURCE = "founding article, section 4.2"
KIND = "article"
STATEMENT = "The initialization listing is a sound start: signals keep their scale (implied)."


def check(budget: str) -> Verdict:
    """Feed constants and white noise through layers of 16, 64 and 256 channels."""
    fill = attempt("4.2")[0]["init_weights"]
    numbers: dict[str, Number] = {}
    for channels in (16, 64, 256):
        with seeded(0), torch.no_grad():
            layer = nn.ConvTranspose2d(channels, 4, 2, 2)
            fill(layer)
            level = layer(torch.ones(1, channels, 4, 4)).mean().item()
            noise = [
                layer(torch.randn(4, channels, 16, 16)).std().item() for _ in range(pick(budget, smoke=3, full=10))
            ]
        numbers |= {f"level_gain_{channels}": exact(level), f"noise_gain_{channels}": over(noise)}
    return Verdict(
        judge(all(0.5 < number.value < 2 for number in numbers.values())),
        numbers,
        "A constant is multiplied by C_in / 4, white noise by sqrt(C_in) / 4: with 64 channels the level rises sixteen"
        " times in a single layer.",
        "Keep the variance with N(0, 2 / fan_in), fan_in = C_in k^2 / s^2 (initializer `kaiming_normal`), or the level"
        " with interpolation on the channel diagonal.",
        key="level_gain_64",
    )
