"""The initialization contract: what a file in `toolkit/initializers` provides, and the one function that applies it.

A file declares, as literals, `LABEL`, `SOURCE`, `LAYOUTS` (the kernel layouts that it accepts, see
`toolkit.contracts.upsampler.LAYOUTS`) and optionally `BIAS` ("zero" by default, or "framework" for torch's own
rule), and defines

    fill(kernel: Tensor, layout: Layout, *, scale: int, generator: torch.Generator, **own) -> None

which writes into `kernel`. Options of its own (`own`) are keyword-only with defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.options import check

PACKAGE = "checkerscope.toolkit.initializers"


@torch.no_grad()
def initialize(
    upsampler: Upsampler, name: str, *, generator: torch.Generator, options: Mapping[str, Any] | None = None
) -> None:
    """Fill every kernel and bias of `upsampler` in place.

    Raises:
        ValueError: If the name or an option is unknown, an option is of another type, the initialization does not
            accept a kernel's layout or size, or there is no kernel to fill (only `default`, which then leaves what the
            constructor wrote, passes).
    """
    module = catalog.load(PACKAGE, name)
    options = dict(options or {})
    check(catalog.describe_one(PACKAGE, name), options)
    kernels = tuple(upsampler.kernels())
    subject = type(upsampler).__module__.rpartition(".")[2]
    if not kernels and name != "default":
        raise ValueError(
            f"{name} on {subject}: expected a learnable kernel, got none; use 'default' for this upsampler"
        )
    for kernel in kernels:
        if kernel.layout.kind not in module.LAYOUTS:
            raise ValueError(
                f"{name} on {subject}: expected a {' or '.join(module.LAYOUTS)} kernel, got {kernel.layout.kind};"
                " exclude the pair"
            )
        try:
            module.fill(kernel.weight, kernel.layout, scale=upsampler.scale, generator=generator, **options)
        except ValueError as error:
            raise ValueError(f"{name} on {subject}: {error}") from error
        if kernel.bias is not None:
            _fill_bias(kernel.bias, kernel.weight, getattr(module, "BIAS", "zero"), generator)


def _fill_bias(bias: torch.Tensor, weight: torch.Tensor, rule: str, generator: torch.Generator) -> None:
    # torch draws biases from U(-1/sqrt(f), 1/sqrt(f)) with f = weight.shape[1] * taps, whatever the layout
    bound = float(weight[0].numel()) ** -0.5 if rule == "framework" else 0.0
    bias.copy_(torch.rand(bias.shape, generator=generator, dtype=torch.float64) * 2 * bound - bound)
