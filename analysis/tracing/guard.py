"""Leaving a model, and every random generator, exactly as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import Tensor, nn


@contextmanager
def untouched(model: nn.Module, *, seed: int) -> Iterator[None]:
    """Put `model` in eval mode under fixed seeds inside the block, and everything back afterwards, come what may.

    Weights and buffers are copied, so that even a model that writes into them in `forward` is restored.
    """
    modes = [(module, module.training) for module in model.modules()]
    state = [(tensor, tensor.detach().clone()) for tensor in (*model.parameters(), *model.buffers())]
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with ExitStack() as stack:
        stack.enter_context(
            torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_initialized() else [])
        )
        stack.callback(np.random.set_state, numpy)
        stack.callback(random.setstate, python)
        stack.callback(_restore, modes, state)
        model.eval()
        reseed(seed)
        yield


def reseed(seed: int) -> None:
    """Seed every generator that a model's forward may draw from."""
    # torch.manual_seed would keep a stack trace per call until CUDA is first used
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def _restore(modes: list[tuple[nn.Module, bool]], state: list[tuple[Tensor, Tensor]]) -> None:
    for module, training in modes:
        module.training = training
    with torch.no_grad():
        for tensor, before in state:
            same = tensor.shape == before.shape and torch.equal(tensor, before)
            # NaN never equals itself: writing it back changes nothing
            if not same:
                tensor.copy_(before)
