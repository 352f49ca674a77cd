"""Operators that squash their input, after which a grid may hardly show: sigmoid, softmax, clamp, rounding, argmax."""

from __future__ import annotations

from torch import Tensor

from checkerscope.analysis.audit.growth.lineage import Lineage
from checkerscope.analysis.audit.growth.operators import MOVES, Call

SQUASHING = (
    *("sigmoid", "tanh", "_softmax", "hardtanh", "clamp", "hardsigmoid", "erf", "atan", "sign", "round", "floor"),
    *("argmax", "gt", "ge", "lt", "le", "heaviside", "bucketize"),
)
#: Operators that scale, shift or cut what was squashed, with numbers of their own.
_PASSING = (*MOVES, "mul", "add", "sub", "div", "rsub", "neg", "slice", "_to_copy", "ceil")
#: How many squashed maps are remembered: an output's own is among the last.
_MOST = 4


class Saturations:
    """The inputs of the last squashing operators of a pass, by number in the order of execution."""

    def __init__(self) -> None:
        self.inside: dict[int, tuple[Tensor, Lineage, str]] = {}
        self._count = 0

    def number(self, call: Call, *, in_place: bool) -> int | None:
        """Return the number of the squashing call that a result will stem from, before the call runs."""
        before = call.first.squashed if call.first is not None else None
        if call.name in SQUASHING and call.inputs:
            return before if before is not None else self._note(call, in_place)
        others = sum(bool(lineage.grid) for _, lineage in call.inputs) if call.name in _PASSING else 2
        return before if others == 1 else None

    def _note(self, call: Call, in_place: bool) -> int:
        x, lineage = call.inputs[0]
        number, self._count = self._count, self._count + 1
        if x.is_floating_point():
            inside = x - x.mean(int(call.args[1]), keepdim=True) if call.name == "_softmax" else x
            self.inside[number] = (inside.clone() if in_place else inside, lineage, call.name.strip("_"))
            self.inside.pop(number - _MOST, None)
        return number
