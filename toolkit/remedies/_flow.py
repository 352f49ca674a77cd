"""Data flow through one forward pass: which call enlarges, and the parameter that its kernel comes from.

Beside every tensor that is made of parameters runs an index tensor of its shape, which says for each value the element
of the parameter that it comes from; beside every map one that says the channel of the operator that made it. Whatever
moves values moves the indices along. So a shuffle is found however it is written, with the order of its phases, and a
kernel however it is reshaped, scaled or normalized before use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from checkerscope.toolkit.remedies._calls import ASSIGNMENT, Content, Enlargement, Maker, Origin, Place, is_flat, period
from checkerscope.toolkit.remedies._moving import JOINING, MOVING, channels, done, spread

PRODUCTS = ("mm", "bmm", "addmm", "baddbmm")
#: They enlarge and have no kernel; the position of their stride among the arguments, None where shapes tell.
KERNELLESS = {"col2im": 5, "max_unpool2d": None, "max_unpool3d": None}
#: Added to the channels of the second, third, ... of several operators that are joined, so that they stay apart.
OFFSET = 2**32


@dataclass
class _Frame:
    path: str
    module: nn.Module
    calls: Counter[str] = field(default_factory=Counter)


class Flow(TorchDispatchMode):
    """Follows parameters and maps through a forward pass.

    Args:
        model: Any module.
        opaque: Classes of modules that are not looked into.
    """

    def __init__(self, model: nn.Module, opaque: tuple[type[nn.Module], ...] = ()) -> None:
        super().__init__()
        self._model, self._opaque = model, opaque
        self._found: dict[Any, Enlargement | str] = {}
        self._frames: list[_Frame] = [_Frame("", model)]
        self._function = "", 0
        self._origins: Any = WeakTensorKeyDictionary()
        self._contents: Any = WeakTensorKeyDictionary()
        self._parts: Any = WeakTensorKeyDictionary()

    @property
    def found(self) -> list[Enlargement | str]:
        """What enlarges, in the order of the calls, a shuffle in two steps once; the path of an opaque module."""
        return list(self._found.values())

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what the model makes of its arguments, without gradients."""
        hooks = list(self._hooked())
        try:
            with torch.no_grad():
                for module in self._model.modules():
                    for name, parameter in module.named_parameters("", recurse=False, remove_duplicate=False):
                        self._begin(parameter, module, name)
                with _Functions(self), self:
                    return self._model(*args, **kwargs)
        finally:
            for hook in hooks:
                hook.remove()

    # the modules that run

    def _hooked(self) -> Iterator[Any]:
        for path, module in self._model.named_modules(remove_duplicate=False):
            if isinstance(module, parametrize.ParametrizationList):
                yield module.register_forward_hook(self._parametrized)
            elif module is not self._model and not isinstance(module, torch.jit.ScriptModule):
                yield module.register_forward_pre_hook(self._entering(path))
                yield module.register_forward_hook(lambda *_: self._leave(), always_call=True)

    def _entering(self, path: str) -> Callable[[nn.Module, Any], None]:
        def enter(module: nn.Module, _: Any) -> None:
            self._frames.append(_Frame(path, module))
            if isinstance(module, self._opaque):
                self._found[path] = path

        return enter

    def _leave(self) -> None:
        self._frames.pop()

    def _parametrized(self, chain: nn.Module, _: Any, weight: Tensor) -> None:
        """Take a parametrized tensor for a parameter of the module that owns the chain."""
        for module in self._model.modules():
            if parametrize.is_parametrized(module):
                for name, own in module.parametrizations.items():  # type: ignore[union-attr, operator]
                    if own is chain:
                        self._begin(weight, module, name)

    def _begin(self, tensor: Tensor, owner: nn.Module, name: str) -> None:
        index = torch.arange(tensor.numel(), device=tensor.device).reshape(tensor.shape)
        self._origins[tensor] = Origin(owner, name, index)
        self._contents.pop(tensor, None)  # it may have been computed as maps are

    def called(self, function: str) -> None:
        """Note that a function is called."""
        for frame in self._frames:
            frame.calls[function] += 1
        self._function = function, self._frames[-1].calls[function] - 1

    # the operators

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(isinstance(frame.module, self._opaque) for frame in self._frames):
            return result
        name = func.overloadpacket.__name__
        if name == "copy_" and args[0] in self._parts:
            self._assigned(args[0])
        elif name in MOVING:
            self._moved(func, name, args, kwargs or {}, result)
        elif name == "convolution":
            self._convolved(args, result)
        elif name in PRODUCTS:
            self._multiplied(name, args, result)
        elif torch.Tag.pointwise in func.tags:
            self._changed(name, args, result)
        else:
            self._made(name, args, result)
        return result

    def origin(self, tensor: Any) -> Origin | None:
        """Return the parameter that a tensor is made of, if one is known."""
        return self._origins.get(tensor) if isinstance(tensor, Tensor) else None

    def content(self, tensor: Any) -> Content | None:
        """Return what is known of a map, if anything."""
        return self._contents.get(tensor) if isinstance(tensor, Tensor) else None

    def _keep(self, tensor: Any, content: Content) -> None:
        if isinstance(tensor, Tensor) and tensor.shape == content.channel.shape:
            self._contents[tensor] = content

    def _moved(self, func: Any, name: str, args: Any, kwargs: Any, result: Any) -> None:
        parts = args[0] if name in JOINING else (args[0],)
        origins, contents = [self.origin(x) for x in parts], [self.content(x) for x in parts]
        results = result if isinstance(result, (list, tuple)) else (result,)
        if name not in JOINING and origins[0] is not None:
            indices = done(func, name, origins[0].index, args, kwargs, results)
            for out, index in zip(results, indices, strict=True):
                self._origins[out] = replace(origins[0], index=index)
        if name == "slice" and len(args) > 4 and args[4] > 1:
            whole, steps = self._parts.get(args[0], (args[0], {}))
            self._parts[result] = whole, {**steps, args[1]: args[4]}
        known = [content for content in contents if content is not None]
        if not known or len(known) < len(contents):
            return
        before = self._joined(known) if name in JOINING else known[0]
        moved: Any = before.channel
        if name in JOINING:
            moved = [
                content.channel + i * OFFSET * (before.maker is not content.maker) for i, content in enumerate(known)
            ]
        for out, channel in zip(results, done(func, name, moved, args, kwargs, results), strict=True):
            self._keep(out, self._shuffled(out, replace(before, channel=channel)))

    def _joined(self, known: Sequence[Content]) -> Content:
        if all(content.maker is known[0].maker for content in known):
            return known[0]
        return replace(known[0], maker=Maker("several operators", self._frames[-1].path))

    def _convolved(self, args: Any, result: Tensor) -> None:
        weight, bias, stride, transposed, groups = args[1], args[2], args[3], args[6], args[8]
        origin, added = self.origin(weight), self.origin(bias)
        biases = () if added is None else (added,)
        maker = Maker("convolution", self._frames[-1].path, origin, groups, weight.detach(), biases)
        self._keep(result, Content(maker, channels(result, 1)))
        if transposed and max(stride) > 1:
            strides = tuple(stride) * (weight.dim() - 2 if len(stride) == 1 else 1)
            dilation = tuple(args[5]) * (weight.dim() - 2 if len(args[5]) == 1 else 1)
            self._enlarged("transposed convolution", maker, strides, result, dilation=dilation)

    def _multiplied(self, name: str, args: Any, result: Tensor) -> None:
        first, second = args[-2:] if name in ("mm", "bmm") else args[1:3]
        bias = self.origin(args[0]) if name.startswith(("add", "badd")) else None
        biases = () if bias is None else (bias,)
        maker = Maker(name, self._frames[-1].path)
        for origin, weight, axis in ((self.origin(first), first, -2), (self.origin(second), second, -1)):
            index = None if origin is None else origin.index
            if origin is None or index is None or (index.dim() == 3 and len(index) > 1):
                continue
            index, weight = (x[0] if x.dim() == 3 else x for x in (index, weight))
            index, weight = (index, weight) if axis == -2 else (index.T, weight.T)  # (C_out, C_in)
            maker = replace(maker, kernel=replace(origin, index=index), weight=weight.detach(), biases=biases)
            return self._keep(result, Content(maker, channels(result, axis)))
        return self._keep(result, Content(maker, channels(result, -1)))

    def _changed(self, name: str, args: Any, result: Tensor) -> None:
        """Keep what is known where values change one by one and channels do not mix."""
        tensors = [x for x in pytree.tree_leaves(args) if isinstance(x, Tensor) and x.numel() > 1]
        whole = [x for x in tensors if x.numel() == result.numel()]
        origin = next((o for o in map(self.origin, whole) if o is not None), None)
        if origin is not None and not any(self.content(x) for x in whole):
            # a kernel, scaled by whatever it may be: vectors of the input as well
            self._origins[result] = replace(origin, index=origin.index.reshape(result.shape))
            return None
        contents, origins = [self.content(x) for x in tensors], [self.origin(x) for x in tensors]
        first = next((c for c in contents if c is not None), None)
        if first is not None:
            added = tuple(o for c, o in zip(contents, origins, strict=True) if c is None and o is not None)
            others = [c for c in contents if c is not None and c.channel is not first.channel]
            is_known = not others and len(added) + sum(c is not None for c in contents) == len(contents)
            if is_known and (not added or name in ("add", "add_", "sub", "sub_")):
                biases = tuple(replace(o, index=spread(o.index, result)) for o in added)
                maker = replace(first.maker, biases=first.maker.biases + biases) if biases else first.maker
                return self._keep(result, replace(first, maker=maker))
            return self._made(name, args, result)
        origin = max((o for o in origins if o is not None), key=lambda o: o.index.numel(), default=None)
        if origin is not None:
            self._origins[result] = replace(origin, index=spread(origin.index, result))
        return None

    def _made(self, name: str, args: Any, result: Any) -> None:
        """Begin anew behind an operator of any other kind."""
        weight = next((x for x in pytree.tree_leaves(args) if self.origin(x) is not None), None)
        for out in pytree.tree_leaves(result):
            if not isinstance(out, Tensor) or not out.is_floating_point():
                continue
            origin = self.origin(weight)
            if origin is not None and name.startswith("_weight_norm") and out.shape == origin.index.shape:
                self._origins[out] = origin
            elif 3 <= out.dim() <= 5:
                maker = Maker(name, self._frames[-1].path)
                self._keep(out, Content(maker, channels(out, -1 if "layer_norm" in name else 1)))
                if name in KERNELLESS:
                    self._unkernelled(name, maker, args, out)

    def _unkernelled(self, name: str, maker: Maker, args: Any, out: Tensor) -> None:
        position = KERNELLESS[name]
        sides = zip(out.shape[2:], args[0].shape[2:], strict=False)
        strides = tuple(args[position]) if position is not None else tuple(o // n for o, n in sides)
        if max(strides) > 1:
            self._enlarged(name, maker, strides, out)

    # what enlarges

    def _shuffled(self, out: Any, content: Content) -> Content:
        """Find channels that alternate along the axes of a map, more than they did before."""
        if not isinstance(out, Tensor) or not 3 <= out.dim() <= 5 or out.shape != content.channel.shape:
            return content
        channel = content.channel[0]
        strides = tuple(period(channel, axis) for axis in range(1, channel.dim()))
        growth = prod(strides)
        if growth <= content.growth or any(2 * s > n for s, n in zip(strides, channel.shape[1:], strict=True) if s > 1):
            return content
        cell = channel[(slice(None), *(slice(s) for s in strides))].flatten(1)
        if len(cell.unique()) < cell.numel():
            return content
        key = content.maker, frozenset(cell.flatten().tolist())  # the second step of a shuffle replaces the first
        self._enlarged("shuffle", content.maker, strides, out, key=key, order=cell)
        return replace(content, growth=growth)

    def _assigned(self, part: Tensor) -> None:
        """Find values that are written to every second, third, ... place of a map."""
        whole, steps = self._parts[part]
        strides = tuple(steps.get(axis, 1) for axis in range(2, whole.dim()))
        if 3 <= whole.dim() <= 5 and max(strides) > 1:
            maker = Maker("copy_", self._frames[-1].path)
            self._enlarged(ASSIGNMENT, maker, strides, whole, key=(ASSIGNMENT, id(whole)))

    def _enlarged(
        self, operator: str, maker: Maker, strides: tuple[int, ...], out: Tensor, *, key: Any = None, **known: Any
    ) -> None:
        place = Place(self._frames[-1].path, *self._function)
        found = Enlargement(operator, maker, strides, place, tuple(out.shape), is_flat(out, strides), **known)
        self._found[maker if key is None else key] = found


class _Functions(TorchFunctionMode):
    """Tells the flow which function of torch is being called."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self._flow = flow

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._flow.called(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))
