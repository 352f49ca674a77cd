"""An initialization that another one starts from."""

from __future__ import annotations

import torch
from torch import Tensor

from checkerscope.toolkit import catalog, checks
from checkerscope.toolkit.contracts.upsampler import Layout


def fill_base(base: str, kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator) -> None:
    """Fill `kernel` by the initialization named `base`, with its default options.

    Raises:
        ValueError: If the name is unknown, or the initialization does not accept the layout.
    """
    module = catalog.load("checkerscope.toolkit.initializers", base)
    if layout.kind not in module.LAYOUTS:
        raise checks.mismatch("base", f"an initialization of {layout.kind} kernels", repr(base))
    module.fill(kernel, layout, scale=scale, generator=generator)
