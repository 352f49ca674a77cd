"""Leaving a model, and every random generator, exactly as they were."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from checkerscope.toolkit import checks


@contextmanager
def untouched(model: nn.Module, *, seed: int) -> Iterator[None]:
    """Put `model` in eval mode under fixed seeds inside the block, and everything back afterwards, come what may.

    Weights and buffers are copied, so that even a model that writes into them, or replaces them, in `forward` is
    restored.

    Raises:
        ValueError: If the model has parameters whose shape is not known yet.
    """
    if any(is_lazy(tensor) for tensor in model.parameters()):
        raise checks.mismatch("audit: model", "initialized parameters", "lazy ones", "run the model on data once")
    modes = [(module, module.training) for module in model.modules()]
    tables = [table for module in model.modules() for table in (module._parameters, module._buffers)]
    held = [(table, dict(table)) for table in tables if isinstance(table, dict)]  # scripted modules have others
    state = [(tensor, tensor.detach().clone()) for tensor in (*model.parameters(), *model.buffers())]
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with ExitStack() as stack:
        stack.enter_context(
            torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_initialized() else [])
        )
        stack.callback(np.random.set_state, numpy)
        stack.callback(random.setstate, python)
        stack.callback(_restore, modes, held, state)
        stack.enter_context(torch.compiler.set_stance("force_eager"))  # compiled parts run as they were written
        stack.enter_context(warnings.catch_warnings())  # of the wrapper that torch.compile puts around: no harm here
        warnings.filterwarnings("ignore", message=r"Using `torch.compile\(module\)` when there are global hooks")
        with suppress(NotImplementedError):  # an exported program: its mode is baked in
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


def _restore(
    modes: list[tuple[nn.Module, bool]],
    held: list[tuple[dict[str, Any], dict[str, Any]]],
    state: list[tuple[Tensor, Tensor]],
) -> None:
    for module, training in modes:
        module.training = training
    for table, entries in held:  # a buffer that was replaced, not written into
        table.clear()
        table.update(entries)
    with torch.no_grad():
        for tensor, before in state:
            same = tensor.shape == before.shape and torch.equal(tensor, before)
            # NaN never equals itself: writing it back changes nothing
            if not same:
                tensor.copy_(before)
