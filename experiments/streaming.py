"""What a stored model makes of any number of images, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from safetensors.torch import load as tensors_from_bytes
from torch import Tensor

from experiments import build
from experiments.measuring import architecture
from experiments.spec import RunSpec
from experiments.store import Store
from experiments.task import weights_name


def reconstructions(
    store: Store, spec: RunSpec, chunks: Iterable[Tensor], *, device: torch.device, step: int | None = None
) -> Iterator[Tensor]:
    """Yield what a finished run's model makes of each chunk, on `device`, where it stays; nothing is kept.

        power = analysis.streaming.mean_power(reconstructions(store, spec, chunks, device=torch.device("cuda")))

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
    network = architecture(spec, build.data(spec, "test"))
    network.load_state_dict(weights)
    network = network.to(device, torch.float32).eval()
    for chunk in chunks:
        with torch.no_grad():  # not around the yield, which would leave it on for whoever asks
            output = network(chunk.to(device))
        yield output
