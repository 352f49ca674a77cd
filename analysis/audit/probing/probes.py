"""Inputs to probe a model with, made from an example of what it takes and never outside its range."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from checkerscope.toolkit import checks

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
#: Pixels below which an example says too little of its values: they are drawn then.
FEW = 8


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


def inputs(given: Arguments) -> list[Tensor]:
    """Return the tensors among the arguments."""
    return [leaf for leaf in pytree.tree_leaves(given) if isinstance(leaf, Tensor)]


def maps(given: Arguments, dims: int) -> list[Tensor]:
    """Return the maps among the arguments."""
    return [x for x in inputs(given) if is_map(x, dims)]


def on_inputs(given: Arguments, change: Any) -> Arguments:
    """Return the arguments with `change` applied to every tensor."""
    return pytree.tree_map_only(Tensor, change, given)


def copied(given: Arguments) -> Arguments:
    """Return the arguments with every tensor copied: a model may write into its input."""
    return on_inputs(given, torch.clone)


def is_map(x: Tensor, dims: int) -> bool:
    """Return whether a tensor is a map (N, C, *spatial), or one of indices (N, *spatial)."""
    if x.is_floating_point():
        return x.dim() == dims + 2
    return x.dim() == dims + 1 and not x.is_complex() and x.dtype is not torch.bool


def flats(given: Arguments, dims: int, generator: torch.Generator, *, count: int) -> list[Arguments]:
    """Return inputs that are constant over space: each shows one pixel of the example all over, from dark to bright.

    Pixels are taken at even quantiles of their mean over the channels, per image, so that the levels cover the
    example's range and stay in it, whatever the seed. Where there is no map at all, tokens (N, length, C) show one of
    their own, and vectors are drawn anew; other inputs (time steps, contexts, masks) stay.
    """

    def at(share: float) -> Arguments:
        return _changed(given, dims, lambda x: _one_pixel(x, share, generator), generator)

    return [at(k / (count - 1) if count > 1 else 0.5) for k in range(count)]


def noise(given: Arguments, dims: int, generator: torch.Generator) -> Arguments:
    """Return every map as white noise: the example's own pixels at random places, or normal values for a flat one."""
    return _changed(given, dims, lambda x: _resampled(x, generator), generator)


def texture(flat: Arguments, given: Arguments, dims: int, *, share: float, generator: torch.Generator) -> Arguments:
    """Return flat inputs with faint white noise on them: `share` of the example's deviation."""
    leaves, spec = pytree.tree_flatten(flat)
    known = pytree.tree_leaves(given)

    def change(x: Any, example: Any) -> Any:
        if not (isinstance(x, Tensor) and x.is_floating_point() and is_map(x, dims)):
            return x
        grain = torch.randn(x.shape, generator=generator).to(x.device, x.dtype)
        return x + share * _moments(example)[1].to(x.dtype) * grain

    return pytree.tree_unflatten([change(x, example) for x, example in zip(leaves, known, strict=True)], spec)


def ramp(given: Arguments, dims: int, axis: int) -> Arguments:
    """Return inputs that rise evenly along one spatial axis, over mean +- two deviations as far as the example goes."""

    def change(x: Tensor) -> Tensor:
        if not (is_map(x, dims) and x.is_floating_point()):
            return x
        mean, deviation = _moments(x)
        low, high = _range(x)
        ends = torch.maximum(mean - 2 * deviation, low), torch.minimum(mean + 2 * deviation, high)
        line = torch.linspace(0, 1, x.shape[2 + axis], device=x.device).reshape(-1, *(1,) * (dims - axis - 1))
        return (ends[0] + (ends[1] - ends[0]) * line).to(x.dtype).expand_as(x).contiguous()

    return on_inputs(given, change)


def grown(given: Arguments, dims: int, sides: Callable[[Sequence[int]], Sequence[int]], seed: int) -> Arguments:
    """Return the arguments with every map made larger; what is new is drawn from the values that are there."""
    generator = torch.Generator().manual_seed(seed)

    def change(x: Tensor) -> Tensor:
        if not is_map(x, dims):
            return x
        shape = (*x.shape[: x.dim() - dims], *sides(x.shape[-dims:]))
        larger = _drawn(x, shape, generator)
        larger[tuple(slice(length) for length in x.shape)] = x
        return larger

    return on_inputs(given, change)


def _changed(given: Arguments, dims: int, change: Callable[[Tensor], Tensor], generator: torch.Generator) -> Arguments:
    """Change every map; where there is none the tokens; where there are none either the vectors are drawn anew."""
    has_map = bool(maps(given, dims))
    has_tokens = any(x.dim() == 3 and x.is_floating_point() for x in inputs(given))

    def one(x: Tensor) -> Tensor:
        if is_map(x, dims):
            return change(x)
        if has_map or not x.is_floating_point():
            return x
        if x.dim() == 3:
            return change(x.transpose(1, 2)).transpose(1, 2).contiguous()
        return _drawn(x, tuple(x.shape), generator) if x.dim() == 2 and not has_tokens else x

    return on_inputs(given, one)


def _one_pixel(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return a map that shows one of its pixels all over."""
    pixels = _pixels(x)
    if pixels.shape[-1] < FEW or _is_flat(x):
        shape = (*pixels.shape[:-1], 1)
        chosen = _drawn(x, shape, generator)
    else:
        order = (pixels.float().mean(1) if pixels.dim() == 3 else pixels).argsort(-1)
        at = order[:, round(share * (order.shape[-1] - 1))]
        chosen = torch.stack([image[..., i : i + 1] for image, i in zip(pixels, at.tolist(), strict=True)])
    return chosen.reshape(*chosen.shape[:-1], *(1,) * _spatial(x)).expand_as(x).contiguous()


def _resampled(x: Tensor, generator: torch.Generator) -> Tensor:
    """Return a map with each pixel one of its own, drawn with replacement."""
    pixels = _pixels(x)
    if pixels.shape[-1] < FEW or _is_flat(x):
        return _drawn(x, tuple(x.shape), generator)
    count = pixels.shape[-1]
    return pixels[..., torch.randint(count, (count,), generator=generator).to(x.device)].reshape(x.shape)


def _spatial(x: Tensor) -> int:
    return x.dim() - (2 if x.is_floating_point() else 1)


def _pixels(x: Tensor) -> Tensor:
    """Return a map as (N, C, pixels), one of indices as (N, pixels)."""
    return x.flatten(2) if x.is_floating_point() else x.flatten(1)


def _is_flat(x: Tensor) -> bool:
    return x.is_floating_point() and not float(x.detach().float().std(correction=0)) > 0


def _range(x: Tensor) -> tuple[Tensor, Tensor]:
    values = x.detach().float()
    if _is_flat(x):
        return values.amin() - 2, values.amax() + 2
    return values.amin(), values.amax()


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    values = x.detach().float()
    deviation = values.std(correction=0)
    return values.mean(), deviation if deviation > 0 else torch.ones_like(deviation)


def _drawn(x: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return new values like those of `x`: of its mean, deviation and range, or its own indices."""
    if not x.is_floating_point():
        known = x.flatten().cpu()
        return known[torch.randint(len(known), shape, generator=generator)].to(x.device)
    mean, deviation = _moments(x)
    low, high = _range(x)
    drawn = mean + deviation * torch.randn(shape, generator=generator).to(x.device)
    return drawn.clamp(low, high).to(x.dtype)
