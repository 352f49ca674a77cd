"""The tensors in whatever a model returns, and what it returned in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import GeneratorType
from typing import Any

from torch import Tensor


def settled(output: Any) -> Any:
    """Return an output with every generator in it run to its end: its code must run while it is watched."""
    if isinstance(output, GeneratorType):
        return [settled(value) for value in output]
    if type(output) in (tuple, list):
        return type(output)(settled(value) for value in output)
    return output


def tensors(output: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of a model's output with its place in it: "", "sample", "1", "aux.0"."""
    if isinstance(output, Tensor):
        yield name, output
        return
    for key, value in _parts(output):
        yield from tensors(value, f"{name}.{key}".lstrip("."))


def _parts(output: Any) -> list[tuple[Any, Any]]:
    """Return what an output consists of: entries, fields, or the attributes of a plain object that are tensors."""
    if isinstance(output, Mapping):
        return list(output.items())
    if isinstance(output, tuple | list):
        return list(zip(getattr(output, "_fields", range(len(output))), output, strict=True))
    if is_dataclass(output):
        return [(entry.name, getattr(output, entry.name)) for entry in fields(output)]
    try:
        attributes = vars(output)
    except TypeError:
        return []
    return [(k, v) for k, v in attributes.items() if isinstance(v, Tensor | tuple | list | dict) and k[:1] != "_"]


def described(output: Any) -> str:
    """Return what a model returned, for a message.

    >>> import torch
    >>> described((torch.zeros(1, 3), 2))
    'tuple: float32 (1, 3)'
    """
    found = [f"{str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}" for _, x in tensors(output)]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    kind = "" if isinstance(output, Tensor) else type(output).__name__
    shape = getattr(output, "shape", None) if not found else None
    listed = ", ".join(found[:3]) + more if found else (f"{tuple(shape)}" if isinstance(shape, tuple) else "no tensor")
    return f"{kind}: {listed}" if kind else listed
