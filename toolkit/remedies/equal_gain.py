"""Equal phase gains for every transposed convolution of a module: once, or kept so through further training."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from toolkit import checks
from toolkit.equal_gain import project_transposed

LABEL = "Equal phase gains"
SOURCE = "this study; the condition is Sugawara 2019, APSIPA Trans. 8"
PROMISE = "needs fine-tuning"
APPLIES_TO = ("transposed convolution",)
COST = "none at inference; a projection per step while it is trained"

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class _EqualGain(nn.Module):
    """Parametrization: the free weight's nearest kernel with equal phase gains."""

    def __init__(self, strides: tuple[int, ...], order: int) -> None:
        super().__init__()
        self.strides, self.order = strides, order

    def forward(self, weight: Tensor) -> Tensor:
        return project_transposed(weight, self.strides, self.order)


def apply(module: nn.Module, *, order: int = 0, keep: bool = False) -> nn.Module:
    """Return a copy of `module` whose transposed convolutions have equal phase gains, so that flat maps stay flat.

    The rest of the network has learned to live with the grid: expect a loss of quality until a short fine-tune.

    Args:
        module: Any module; only its transposed convolutions of stride above 1 change.
        order: Zeros of multiplicity `order + 1` at the alias frequencies.
        keep: Keep the gains equal during training by a parametrization; otherwise project the weights once.

    Raises:
        ValueError: If there is no such layer, or a kernel is too small for its stride and order.

    >>> layer = nn.ConvTranspose2d(1, 1, 2, stride=2, bias=False)
    >>> bool(apply(layer)(torch.ones(1, 1, 2, 2)).std() < 1e-6)
    True
    """
    cured = copy.deepcopy(module)
    layers = [m for m in cured.modules() if isinstance(m, _TRANSPOSED) and max(m.stride) > 1]
    if not layers:
        raise checks.mismatch("equal_gain", "a transposed convolution of stride above 1", type(module).__name__)
    for layer in layers:
        projection = _EqualGain(tuple(layer.stride), order)
        if keep:
            parametrize.register_parametrization(layer, "weight", projection)
        else:
            with torch.no_grad():
                layer.weight.copy_(projection(layer.weight))
    return cured
