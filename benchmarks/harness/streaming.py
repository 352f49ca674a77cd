"""A stored model's outputs and their mean spectrum over more images than fit into memory, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from safetensors.torch import load as tensors_from_bytes
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.experiments.store.runs import Store, weights_name
from checkerscope.experiments.study import build
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.toolkit import checks


def mean_power(chunks: Iterable[Tensor]) -> Tensor:
    """Return `spectra.mean_power` of the images of all chunks together, (C, *spatial) float64, on their device.

    Args:
        chunks: Batches (N, C, *spatial) of any number of images of one size; one at a time is held.

    Raises:
        ValueError: If there are none, two have different sizes, or one is not finite.

    >>> import torch
    >>> mean_power(torch.ones(1, 3, 8, 8) for _ in range(1000)).shape
    torch.Size([3, 8, 8])
    """
    total, count = None, 0
    for chunk in chunks:
        power = spectra.mean_power(chunk).mul_(len(chunk))
        if total is not None and power.shape != total.shape:
            raise checks.mismatch(
                "chunk", f"images of shape {tuple(total.shape)}", tuple(power.shape), "cut them alike"
            )
        total = power if total is None else total.add_(power)
        count += len(chunk)
    if total is None:
        raise checks.mismatch("chunks", "one or more", 0)
    return total / count


def reconstructions(
    store: Store, spec: RunSpec, chunks: Iterable[Tensor], *, device: torch.device, step: int | None = None
) -> Iterator[Tensor]:
    """Yield what a finished run's model makes of each chunk, on `device`, where it stays; nothing is kept.

        power = mean_power(reconstructions(store, spec, chunks, device=torch.device("cuda")))

    Args:
        store: Where the run is.
        spec: The run.
        chunks: Batches (N, C, size, size) of any number of images.
        device: Where the model runs.
        step: One of the steps whose weights are kept; the end by default.

    Raises:
        StoreError: If the run is not there or damaged.
    """
    step = spec.steps if step is None else step
    weights = tensors_from_bytes(store.load(spec.id, weights_name(step)))
    network = build.architecture(spec, build.data(spec, "test"))
    network.load_state_dict(weights)
    network = network.to(device, torch.float32).eval()
    for chunk in chunks:
        with torch.no_grad():  # not around the yield, which would leave it on for whoever asks
            output = network(chunk.to(device))
        yield output
