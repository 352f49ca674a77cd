"""The memory of a training step, counted in tensors rather than read off the process."""

from __future__ import annotations

import copy
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def step_memory_mb(network: nn.Module, inputs: Tensor) -> float:
    """Return the largest sum of tensors that are alive at once while a network runs forward and backward, in MB.

    Counted are the tensors that the step makes: activations, what is kept for the backward pass, gradients; not the
    parameters, the optimizer's state, the inputs, and the work space inside one operation. Unlike the resident memory
    of a process this depends on no allocator and on nothing that ran before. The network is left as it was.

    Args:
        network: Any module that maps one tensor to another.
        inputs: A batch.

    >>> line = nn.Conv1d(1, 8, 1, bias=False)
    >>> round(step_memory_mb(line, torch.zeros(1, 1, 2**17)), 2)  # 4 MB each: output, square, and two on the way back
    16.0
    """
    network = copy.deepcopy(network).train()
    with torch.random.fork_rng([inputs.device] if inputs.is_cuda else ()), _Count() as count:
        network(inputs).square().sum().backward()
    return count.most / 2**20


class _Count(TorchDispatchMode):
    """Adds up the storages that operations return, as long as they live."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.most = 0
        self._seen: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = {id(tensor.untyped_storage()) for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)}
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if id(storage) not in known and id(storage) not in self._seen:
                    self._add(storage)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()

        def forget(_: object) -> None:
            del self._seen[key]
            self.alive -= size

        self._seen[key] = weakref.ref(storage, forget)
        self.alive += size
        self.most = max(self.most, self.alive)
