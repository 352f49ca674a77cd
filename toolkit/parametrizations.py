"""Copies of modules whose weights may be parametrized, and the same weights as plain parameters."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils import parametrize

from checkerscope.toolkit import checks


def copied(module: nn.Module, name: str) -> nn.Module:
    """Return a copy of `module`, which the caller may change.

    Args:
        module: Any module.
        name: Subject of the error message.

    Raises:
        ValueError: If it is no module.
    """
    if not isinstance(module, nn.Module):
        raise checks.mismatch(name, "a torch.nn.Module", type(module).__name__)
    result = copy.deepcopy(module)
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
