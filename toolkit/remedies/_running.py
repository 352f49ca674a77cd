"""Running a module on an example of its input, and finding one where none is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.upsampler import Upsampler

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED_CONVOLUTIONS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
#: Sides of the maps that are tried on a module whose input is not known.
SIDES = (32, 64, 16, 8, 128)
#: Numbers of tokens that are tried: squares, for heads that put them side by side.
TOKENS = (64, 256, 196)

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def arguments(example: Any) -> Arguments:
    """Return (args, kwargs) from an example: a tensor, a sequence of arguments, or a mapping by name."""
    if isinstance(example, Mapping):
        return (), dict(example)
    return (tuple(example), {}) if isinstance(example, (tuple, list)) else ((example,), {})


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put `model` in evaluation mode without gradients inside the block; modes and random state are as before then."""
    modes = [(part, part.training) for part in model.modules()]
    try:
        with torch.no_grad(), torch.random.fork_rng():
            model.eval()
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def outputs(model: nn.Module, inputs: Tensor, batch_size: int = 16) -> Tensor:
    """Return what `model` makes of `inputs` in evaluation mode, without gradients; its mode stays as it was.

    Raises:
        ValueError: If it returns anything else than one tensor.
    """
    with evaluating(model):
        found = [model(batch) for batch in inputs.split(batch_size)]
    if not isinstance(found[0], Tensor):
        got, fix = type(found[0]).__name__, "wrap the module"
        raise checks.mismatch("model", "one map as output", got, fix)
    return torch.cat(found)


def check_python(model: nn.Module, name: str) -> None:
    """Check that the module runs as Python, where its layers and calls can be seen and changed.

    Raises:
        ValueError: If a part of it is scripted.
    """
    if any(isinstance(part, torch.jit.ScriptModule) for part in model.modules()):
        raise checks.mismatch(name, "a module in Python", "a scripted one", "use hold with places=output")


def example_of(model: nn.Module, given: Any = None) -> Any:
    """Return an example of the module's input: the given one, else a flat map that fits its first layer.

    None where no such map runs: then the module's layers are known, and not how they are called.
    """
    if given is not None:
        first = _first(given)
        return first if _runs(model, first) else given
    for example in _candidates(model):
        if _runs(model, example):
            return example
    return None


def _runs(model: nn.Module, example: Any) -> bool:
    args, kwargs = arguments(example)
    try:
        with evaluating(model):
            model(*args, **kwargs)
    except Exception:  # whatever the module raises, it takes no such input
        return False
    return True


def _first(example: Any) -> Any:
    """Return the first of a batch: one kernel per image is one kernel then."""
    sizes = {x.shape[0] for x in pytree.tree_leaves(example) if isinstance(x, Tensor) and x.dim() > 0}
    return pytree.tree_map_only(Tensor, lambda x: x[:1] if x.dim() > 0 else x, example) if len(sizes) == 1 else example


def _candidates(model: nn.Module) -> Iterator[Tensor]:
    """Yield flat maps for the first convolution or what else may be the first kernel, and tokens for linear layers."""
    reference = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    generator = torch.Generator().manual_seed(0)
    for channels, dims in dict.fromkeys(_inputs(model)):
        levels = torch.rand(1, channels, *(1,) * dims, generator=generator).to(reference)
        for side in SIDES if dims < 3 else SIDES[2:4]:
            yield levels.expand(-1, -1, *(side,) * dims).contiguous()
    width = next((part.in_features for part in model.modules() if isinstance(part, nn.Linear)), None)
    for count in TOKENS if width else ():
        yield torch.rand(1, 1, width or 1, generator=generator).to(reference).expand(-1, count, -1).contiguous()


def _inputs(model: nn.Module) -> Iterator[tuple[int, int]]:
    """Yield the channels and axes that a map for `model` may have."""
    with suppress(ValueError):
        yield first_channels(model, "example")
    kernel = next((p for p in model.parameters() if 3 <= p.dim() <= 5), None)
    if kernel is not None:
        yield kernel.shape[0], kernel.dim() - 2
        yield kernel.shape[1], kernel.dim() - 2
        if kernel.dim() > 3:  # one per image
            yield kernel.shape[2], kernel.dim() - 3


def first_channels(module: nn.Module, name: str) -> tuple[int, int]:
    """Return the input channels and spatial axes of the first layer that has a kernel.

    Raises:
        ValueError: If there is none.
    """
    for _, leaf in leaves(module):
        if isinstance(leaf, Upsampler):
            return leaf.in_channels, leaf.spatial_dims
        if isinstance(leaf, CONVOLUTIONS + TRANSPOSED_CONVOLUTIONS):
            return leaf.in_channels, len(leaf.kernel_size)
    raise checks.mismatch(name, "a convolution to read the input's channels from", type(module).__name__, "pass inputs")


def spatial_axes(model: nn.Module, name: str, example: Any) -> int:
    """Return the number of spatial axes of what `model` returns: of its largest map.

    Raises:
        ValueError: If there is no example to run, or no map (N, C, *spatial) comes out.
    """
    maps: list[Tensor] = []
    if example is not None:
        args, kwargs = arguments(example)
        with evaluating(model):
            maps = [x for x in pytree.tree_leaves(model(*args, **kwargs)) if isinstance(x, Tensor) and x.dim() > 2]
    if not maps:
        raise checks.mismatch(name, "an example with which the module returns a map", "none", "pass example")
    return max(maps, key=Tensor.numel).dim() - 2


def leaves(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules without children, every convolution and every upsampler of the project, with their paths."""
    whole = (Upsampler, *CONVOLUTIONS, *TRANSPOSED_CONVOLUTIONS)  # a parametrized convolution has children too
    children = list(module.named_children())
    if isinstance(module, whole) or not children:
        yield path, module
        return
    for name, child in children:
        yield from leaves(child, f"{path}.{name}" if path else name)


def executed(model: nn.Module, example: Any) -> list[tuple[str, nn.Module]]:
    """Return the leaves in the order of their calls, one that is called twice as often as it is called."""
    order: list[tuple[str, nn.Module]] = []
    handles = [
        leaf.register_forward_pre_hook(lambda module, inputs, path=path: order.append((path, module)))
        for path, leaf in leaves(model)
    ]
    args, kwargs = arguments(example)
    try:
        with evaluating(model):
            model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return order
