"""Does a numeric mismatch under unrelated random weights show that a transposed convolution is no inverse?"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from checkerscope.experiments.verdicts.contract import Verdict, judge, over, pick

LABEL = "The experiment shows that it is no inverse"
SOURCE = "founding article, section 2.1"
KIND = "article"
STATEMENT = (
    "The values differ after convolution and transposed convolution, which proves that one is not the inverse of the"
    " other."
)


def check(budget: str) -> Verdict:
    """Repeat the mended experiment, with controls: layers that are inverses, and weights that are tied."""
    found: dict[str, list[float]] = {}
    for seed in range(pick(budget, smoke=10, full=50)):
        for name, value in _errors(torch.Generator().manual_seed(seed)).items():
            found.setdefault(name, []).append(value)
    return Verdict(
        judge(min(found["tied_k3_s2"]) > 0.01, min(found["unrelated_k1_s1"]) < 1e-9),
        {f"relative_error_{name}": over(values) for name, values in found.items()},
        "The conclusion is right in general: with tied weights the values still differ. The experiment does not show"
        " it: its two layers have unrelated random weights, and under these even a pair that can invert each other (1"
        " x 1, stride 1) differs as much. And some transposed convolutions are inverses: k = s with orthogonal"
        " weights.",
        "With tied weights a transposed convolution is the adjoint of the convolution, and its inverse only in special"
        " cases such as k = s with an orthogonal weight matrix. A true deconvolution divides by the kernel's spectrum.",
        key="relative_error_tied_k3_s2",
    )


def _errors(g: torch.Generator) -> dict[str, float]:
    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    def error(x: Tensor, y: Tensor) -> float:
        return float((x - y).norm() / x.norm())

    x, w, other, one, another = draw(1, 1, 8, 8), draw(1, 1, 3, 3), draw(1, 1, 3, 3), draw(1, 1, 1, 1), draw(1, 1, 1, 1)
    orthogonal = torch.linalg.qr(draw(4, 4))[0].reshape(4, 1, 2, 2)
    small = F.conv2d(x, w, None, 2, 1)
    spectrum = torch.fft.fft2(w, s=(8, 8))
    blurred = torch.fft.ifft2(torch.fft.fft2(x) * spectrum)
    return {
        "as_in_the_article_mended": error(x, F.conv_transpose2d(small, other, None, 2, 1, 1)),
        "unrelated_k1_s1": error(x, F.conv_transpose2d(F.conv2d(x, one), another)),
        "reciprocal_k1_s1": error(x, F.conv_transpose2d(F.conv2d(x, one), 1 / one)),
        "tied_k3_s2": error(x, F.conv_transpose2d(small, w, None, 2, 1, 1)),
        "tied_orthogonal_k2_s2": error(x, F.conv_transpose2d(F.conv2d(x, orthogonal, None, 2), orthogonal, None, 2)),
        "true_deconvolution": error(x, torch.fft.ifft2(torch.fft.fft2(blurred) / spectrum).real),
    }
