"""Copies of modules whose weights may be parametrized, and the same weights as plain parameters."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.weight_norm import WeightNorm

from checkerscope.toolkit import checks


def copied(module: nn.Module, name: str) -> nn.Module:
    """Return a copy of `module`, which the caller may change.

    Args:
        module: Any module.
        name: Subject of the error message.

    Raises:
        ValueError: If it is no module, or cannot be copied.
    """
    if not isinstance(module, nn.Module):
        raise checks.mismatch(name, "a torch.nn.Module", type(module).__name__)
    # torch copies no tensor that was computed, such as a weight that a hook has normalized
    computed = [
        value
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, Tensor) and not value.is_leaf
    ]
    try:
        result = copy.deepcopy(module, {id(value): value.detach().clone() for value in computed})
    except Exception as error:  # a lock, a file, a tensor that something else has computed
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise checks.mismatch(name, "a module that can be copied", why) from error
    for part in result.modules():
        if parametrize.is_parametrized(part):
            # a parametrized tensor is a property of a class that torch lets copies share: removing it from one would
            # take it from the other
            shared = type(part)
            own = {key: value for key, value in vars(shared).items() if key not in ("__dict__", "__weakref__")}
            part.__class__ = type(shared.__name__, shared.__bases__, own)
    return result


def removed(module: nn.Module, name: str) -> nn.Module:
    """Return a copy of `module` in which parametrized weights are plain parameters; everything else as it was.

    Raises:
        ValueError: If it is no module.

    >>> layer = nn.utils.parametrizations.orthogonal(nn.Linear(2, 2, bias=False))
    >>> sorted(layer.state_dict()), sorted(removed(layer, "layer").state_dict())
    (['parametrizations.weight.0.base', 'parametrizations.weight.original'], ['weight'])
    """
    plain = copied(module, name)
    for part in list(plain.modules()):
        if parametrize.is_parametrized(part):
            for weight in list(part.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(part, weight)
    return plain


@contextmanager
def parametrized_norms(module: nn.Module, *, keep: bool = False) -> Iterator[None]:
    """Turn the hooks of `torch.nn.utils.weight_norm`, which hold no weight, into parametrizations inside the block.

    Args:
        module: Is changed.
        keep: Leave them so afterwards, where more than the normalization is on them.
    """
    found = [
        (part, key, hook)
        for part in module.modules()
        for key, hook in list(part._forward_pre_hooks.items())
        if isinstance(hook, WeightNorm)
    ]
    for part, key, hook in found:
        hook.remove(part)
        del part._forward_pre_hooks[key]
        weight_norm(part, hook.name, hook.dim)
    yield
    for part, _, hook in found:
        chain = part.parametrizations[hook.name]  # type: ignore[index]
        if not keep and len(chain) == 1:
            parametrize.remove_parametrizations(part, hook.name)
            with warnings.catch_warnings():  # that it is deprecated is for who chose it
                warnings.simplefilter("ignore", FutureWarning)
                WeightNorm.apply(part, hook.name, hook.dim)


def is_weight_norm(chain: Any) -> bool:
    """Return whether a chain of parametrizations begins with a weight normalization."""
    return type(chain[0]).__name__ == "_WeightNorm"
