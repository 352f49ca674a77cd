"""Which module is running, and which line of whose code called the operator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_module

#: Code that stands between a model's own line and the operator, and where ours called the model.
_SKIPPED = (str(Path(torch.__file__).parent), str(Path(__file__).parent))
_CALLER = str(Path(__file__).parent.parent)


class Paths:
    """The stack of the running modules of one model, kept by hooks that torch holds globally, not on the model."""

    def __init__(self, model: nn.Module) -> None:
        self._names = {id(module): name for name, module in model.named_modules()}
        self._stack: list[str] = []
        self.visited: set[str] = set()
        self._tell: Callable[[str, Any], None] = lambda path, output: None

    @property
    def current(self) -> str:
        """Dotted path of the innermost running module, "" for the model itself."""
        return self._stack[-1] if self._stack else ""

    @contextmanager
    def watched(self, leave: Callable[[str, Any], None]) -> Iterator[None]:
        """Keep the stack up to date inside the block, and call `leave` with path and output of every module."""
        self._stack.clear()
        self._tell = leave
        before = torch_module.register_module_forward_pre_hook(self._enter)
        after = torch_module.register_module_forward_hook(self._leave, always_call=True)
        try:
            yield
        finally:
            before.remove()
            after.remove()

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        name = self._names.get(id(module))
        if name is not None:
            self._stack.append(name)
            self.visited.add(name)

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if id(module) in self._names and self._stack:
            self._tell(self._stack.pop(), output)


def calling_line() -> str:
    """Return "file.py:line" of the innermost frame that is neither torch's nor ours; "" if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        is_between = name.startswith((*_SKIPPED, "<"))
        if not is_between and name.startswith(_CALLER):
            return ""
        if not is_between:
            return f"{Path(name).name}:{frame.f_lineno}"
        if frame.f_back is None:
            return ""
        frame = frame.f_back
    return ""
