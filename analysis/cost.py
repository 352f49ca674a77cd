"""What a network costs: parameters, multiply-accumulates, and the memory of a training step, counted in tensors."""

from __future__ import annotations

import copy
import weakref
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from checkerscope.toolkit import parametrizations


class Cost(NamedTuple):
    """What a network costs where it is used.

    Attributes:
        parameters: Number of parameters.
        macs: Multiply-accumulates of a forward pass, as torch counts them.
    """

    parameters: int
    macs: int


def inference_cost(network: nn.Module, *inputs: Any, **named: Any) -> Cost:
    """Return what a network costs, for inputs like the given ones; the network is left as it was.

    A parametrization is work of the training only, so it is folded first.

    >>> inference_cost(nn.Conv2d(1, 4, 3, padding=1), torch.zeros(1, 1, 32, 32))
    Cost(parameters=40, macs=36864)
    """
    plain = parametrizations.removed(network, "cost")
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        plain.eval()(*inputs, **named)
    return Cost(sum(p.numel() for p in plain.parameters()), counter.get_total_flops() // 2)


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
