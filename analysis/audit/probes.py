"""Inputs to probe a model with, made from an example of what it takes, and the tensors in what it returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from checkerscope.toolkit import checks

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def arguments(example: Any) -> Arguments:
    """Return (args, kwargs) from an example input: a tensor, a sequence of arguments, or a mapping by name.

    Raises:
        ValueError: If there is no tensor in it.
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(example, Mapping):
        kwargs = dict(example)
    elif isinstance(example, tuple | list):
        args = tuple(example)
    else:
        args = (example,)
    if not any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves((args, kwargs))):
        fix = "pass a tensor, a tuple of arguments or a dictionary of keyword arguments"
        raise checks.mismatch("audit: example_input", "tensors", type(example).__name__, fix)
    return args, kwargs


def on_inputs(given: Arguments, change: Any) -> Arguments:
    """Return the arguments with `change` applied to every tensor."""
    return pytree.tree_map_only(Tensor, change, given)


def copied(given: Arguments) -> Arguments:
    """Return the arguments with every tensor copied: a model may write into its input."""
    return on_inputs(given, torch.clone)


def flat(given: Arguments, dims: int, generator: torch.Generator) -> Arguments:
    """Return inputs that are constant over space, drawn per image and channel around the example's mean.

    Maps of indices get one of the example's own indices; vectors are drawn anew where there is no map at all; other
    inputs (time steps, contexts, masks) stay.
    """
    has_map = any(_is_map(t, dims) for t in pytree.tree_leaves(given) if isinstance(t, Tensor))

    def change(x: Tensor) -> Tensor:
        if _is_map(x, dims):
            shape = (*x.shape[:2], *(1,) * dims) if x.is_floating_point() else (x.shape[0], *(1,) * (x.dim() - 1))
            return _drawn(x, shape, generator).expand_as(x).contiguous()
        is_vector = not has_map and x.dim() == 2 and x.is_floating_point()
        return _drawn(x, tuple(x.shape), generator) if is_vector else x

    return on_inputs(given, change)


def noise(given: Arguments, dims: int, generator: torch.Generator) -> Arguments:
    """Return white noise of the example's mean and variance in place of every map."""
    return on_inputs(given, lambda x: _drawn(x, tuple(x.shape), generator) if _is_map(x, dims) else x)


def ramp(given: Arguments, dims: int, axis: int) -> Arguments:
    """Return inputs that rise evenly along one spatial axis, over the example's mean +- two standard deviations."""

    def change(x: Tensor) -> Tensor:
        if not (_is_map(x, dims) and x.is_floating_point()):
            return x
        length = x.shape[2 + axis]
        line = torch.linspace(-2, 2, length, device=x.device).reshape(-1, *(1,) * (dims - axis - 1))
        mean, deviation = _moments(x)
        return (mean + deviation * line).to(x.dtype).expand_as(x).contiguous()

    return on_inputs(given, change)


def _is_map(x: Tensor, dims: int) -> bool:
    if x.is_floating_point():
        return x.dim() == dims + 2
    return x.dim() == dims + 1 and not x.is_complex() and x.dtype is not torch.bool


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    values = x.detach().float()
    deviation = values.std(correction=0)
    return values.mean(), deviation if deviation > 0 else torch.ones_like(deviation)


def _drawn(x: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if not x.is_floating_point():
        known = x.flatten().cpu()
        return known[torch.randint(len(known), shape, generator=generator)].to(x.device)
    mean, deviation = _moments(x)
    return (mean + deviation * torch.randn(shape, generator=generator).to(x.device)).to(x.dtype)


def tensors(output: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every floating-point tensor of a model's output with its place in it: "", "sample", "1", "aux.0"."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield name, output
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from tensors(value, f"{name}.{key}".lstrip("."))
    elif isinstance(output, tuple | list):
        keys = getattr(output, "_fields", range(len(output)))
        for key, value in zip(keys, output, strict=True):
            yield from tensors(value, f"{name}.{key}".lstrip("."))
    elif is_dataclass(output):
        for entry in fields(output):
            yield from tensors(getattr(output, entry.name), f"{name}.{entry.name}".lstrip("."))


def spatial_dims(given: Arguments, output: Any) -> int:
    """Return the number of spatial axes: of the output's largest tensor, or of the input where that is no map.

    Raises:
        ValueError: If neither has a shape (N, C, *spatial) or (N, C) with one to three spatial axes.
    """
    inputs = [t for t in pytree.tree_leaves(given) if isinstance(t, Tensor)]
    outputs = sorted((t for _, t in tensors(output)), key=Tensor.numel, reverse=True)
    ranks = {t.dim() for t in inputs}
    largest = outputs[0].dim() if outputs else 0
    if 3 <= largest <= 5 and (largest in ranks or largest > 3 or not ranks & {4, 5}):
        return largest - 2
    for rank in (5, 4, 3):
        if rank in ranks:
            return rank - 2
    if largest == 2 and 2 in ranks:
        return 1
    got = [tuple(t.shape) for t in (*inputs, *outputs)]
    raise checks.mismatch("audit: model", "maps (N, C, *spatial) with 1 to 3 spatial axes", got, "say spatial_dims")
