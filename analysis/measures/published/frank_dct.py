"""Frank's DCT statistic, as released: the logarithm of the mean of signed coefficients.

Responds to: whatever has the same sign in every image, tone first of all. Replicas, blur and noise show only through
what is left of the mean.
Noise floor: it falls with the number of images, as log(1 / sqrt(n)): two sets of different size cannot be compared.
Ground truth: the statistic of as many originals.

Defect, kept: the *signed* coefficients are averaged before the logarithm of the magnitude, so that the plotted heat
map is not the mean spectrum and tends to minus infinity with more images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from checkerscope.analysis.measures.dct_spectrum import dct
from checkerscope.analysis.trial import Trial

LABEL = "Frank DCT statistic"
SOURCE = "Frank et al. 2020, arXiv:2003.08685, released compute_statistics"
UNITS = {
    "frank_dct.target": "log of image units",
    "frank_dct.reconstruction": "log of image units",
}


def frank_dct(images: Tensor) -> Tensor:
    """Return ln(|mean_n DCT(x_n)| + 1e-12), (C, *spatial), float64: orthonormal DCT-II per channel.

    Args:
        images: (N, C, *spatial).

    Raises:
        ValueError: If the images are no batch or not finite.

    >>> import torch
    >>> frank_dct(torch.ones(5, 1, 4, 4))[0, 0, 0].exp().round()
    tensor(4., dtype=torch.float64)
    """
    return (dct(images).mean(0).abs() + 1e-12).log()


def measure(trial: Trial) -> dict[str, NDArray[np.float64]]:
    """Return the statistics of whole images, averaged over channels."""
    pairs = {"target": trial.target, "reconstruction": trial.reconstruction}
    return {f"frank_dct.{name}": frank_dct(x).mean(0).cpu().numpy() for name, x in pairs.items()}
