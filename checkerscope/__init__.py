"""Checkerscope: a research toolkit for upsampling artifacts. The names that people use, each imported when it is used.

`import checkerscope` itself imports neither torch nor numpy. Everything else is under `checkerscope.toolkit`,
`checkerscope.analysis` and `checkerscope.experiments`.

>>> import torch
>>> from torch import nn
>>> import checkerscope

*Does a layer leave a grid on flat regions?* `phase_gains` answers exactly: here half of the outputs get 2 taps of 3,
the others 1.

>>> layer = nn.ConvTranspose1d(1, 1, 3, stride=2, padding=1, output_padding=1, bias=False)
>>> _ = nn.init.ones_(layer.weight)
>>> checkerscope.phase_gains(layer, scale=2, in_channels=1, spatial_dims=1).flatten()
tensor([1., 2.], dtype=torch.float64)

*Which layer of a network does, and what cures it?* `audit` runs the network and says so; `cure` applies a remedy of
`checkerscope list remedies` to a copy.

>>> _ = torch.manual_seed(0)
>>> decoder = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1))
>>> report = checkerscope.audit(decoder, torch.rand(1, 4, 16, 16))
>>> report.clean, [found.name for found in report.layers]
(False, ['1'])
>>> checkerscope.audit(checkerscope.cure(decoder, "equal_gain"), torch.rand(1, 4, 16, 16)).clean
True

*Is there a grid in images?* `tone` is its RMS in image units, `checkerboard_energy` its share of the images' variance,
and `periodicity_test` says whether it is more than chance.

>>> rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
>>> images = torch.rand(8, 1, 32, 32) + 0.1 * (1.0 - 2 * ((rows + columns) % 2))
>>> round(checkerscope.tone(images, 2), 1)
0.1
>>> round(checkerscope.checkerboard_energy(images, 2), 1)
0.1
>>> checkerscope.periodicity_test(images, 2).p_value < 1e-6
True

*Of which period is it?* `inspect` finds out, in arrays or in a folder of files of any size.

>>> stripes = torch.rand(8, 1, 64, 64) / 10
>>> stripes[..., ::4] += 0.02
>>> checkerscope.inspect(stripes).grid.period
4

*A new upsampler* is a subclass of `Upsampler` in a file of its own (CONTRIBUTING.md).

>>> from checkerscope.toolkit import catalog
>>> issubclass(catalog.load("checkerscope.toolkit.upsamplers", "nearest_conv"), checkerscope.Upsampler)
True
>>> checkerscope.__version__.count(".")
2
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checkerscope.analysis.audit import audit
    from checkerscope.analysis.inspect import inspect
    from checkerscope.analysis.measures.checkerboard_energy import checkerboard_energy
    from checkerscope.analysis.measures.tone import tone
    from checkerscope.analysis.statistics import periodicity_test
    from checkerscope.toolkit.contracts.upsampler import Upsampler
    from checkerscope.toolkit.curing import cure
    from checkerscope.toolkit.response import phase_gains

    __version__: str

#: Where each name lives.
_HOMES = {
    "Upsampler": "checkerscope.toolkit.contracts.upsampler",
    "audit": "checkerscope.analysis.audit",
    "checkerboard_energy": "checkerscope.analysis.measures.checkerboard_energy",
    "cure": "checkerscope.toolkit.curing",
    "inspect": "checkerscope.analysis.inspect",
    "periodicity_test": "checkerscope.analysis.statistics",
    "phase_gains": "checkerscope.toolkit.response",
    "tone": "checkerscope.analysis.measures.tone",
}

__all__ = [
    "Upsampler",
    "__version__",
    "audit",
    "checkerboard_energy",
    "cure",
    "inspect",
    "periodicity_test",
    "phase_gains",
    "tone",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        value: Any = metadata.version("checkerscope")
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'checkerscope' has no attribute {name!r}; it offers {', '.join(__all__)}")
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
