"""Neighbouring pixel relationships, as released: the difference of each 2 x 2 block from its first pixel.

Responds to: any contrast between neighbours, content as much as a grid; a tone adds its own contrast.
Noise floor: the content's, 0.10 for photographs of 64 pixels; white noise reads 1.5 of its variance.
Ground truth: the energy of the originals.

Defects, kept: only the grid of period 2 with phase 0 is looked at, so the value depends on the crop; the released
network's input is 2/3 of this map, a factor without meaning that is left out here.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from checkerscope.analysis import spectra
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit import checks

LABEL = "NPR energy"
SOURCE = "Tan et al. 2024, arXiv:2312.10461, released resnet"
UNITS = {
    "npr.target": "fraction of variance",
    "npr.reconstruction": "fraction of variance",
}
#: How the metric audit reads it: the map itself is a network's input.
AUDIT = {"function": "npr_energy", "power": False}


def npr(images: Tensor) -> Tensor:
    """Return x - up(down(x)), nearest down and up by two, float64, of the shape of `images`.

    Args:
        images: (N, C, H, W), even sizes.

    Raises:
        ValueError: If the images are no batch of pictures, not finite, or of odd size (where the released code
            crashes).

    >>> import torch
    >>> npr(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    if spectra.check_images(images).dim() != 4 or any(side % 2 for side in images.shape[2:]):
        raise checks.mismatch(
            "images", "shape (n, c, h, w) with even sides", tuple(images.shape), "crop a row or column"
        )
    x = spectra.exact(spectra.check_finite(images))
    return x - F.interpolate(F.interpolate(x, scale_factor=0.5), scale_factor=2)


def npr_energy(images: Tensor) -> float:
    """Return the mean square of the map over the images' mean variance; 0.0 for constant images."""
    variance = float(spectra.exact(images).flatten(2).var(-1, correction=0).mean())
    energy = float(npr(images).square().mean())
    return energy / variance if variance else 0.0


def measure(trial: Trial) -> dict[str, float]:
    """Return the energies of whole images."""
    height, width = (side // 2 * 2 for side in trial.target.shape[2:])
    pairs = {"target": trial.target, "reconstruction": trial.reconstruction}
    return {f"npr.{name}": npr_energy(x[..., :height, :width]) for name, x in pairs.items()}
