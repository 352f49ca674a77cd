"""How deep and wide a network may be: what cannot be meant is refused before any layer is built."""

from __future__ import annotations

from typing import Any

from checkerscope.toolkit import checks

MAX_DEPTH = 10
MAX_CHANNELS = 2**16
#: Accumulated stride: the side of the largest image that a study takes.
MAX_PERIOD = 4096


def widths(name: str, width: Any, *, depth: Any, scale: int, bottom: int = 0) -> list[int]:
    """Return the channels of `depth` stages and of a bottom, if there is one: `width`, then twice as many each time.

    Raises:
        ValueError: If width or depth is no integer from 1, or the network is deeper, wider or of a longer period than
            can be meant.
    """
    stages = checks.integer(f"{name}: depth", depth, maximum=MAX_DEPTH) + bottom
    if scale**depth > MAX_PERIOD:
        raise checks.mismatch(f"{name}: scale ** depth", f"at most {MAX_PERIOD}", scale**depth, "use a smaller depth")
    channels = [checks.integer(f"{name}: width", width) * 2**stage for stage in range(stages)]
    if channels[-1] > MAX_CHANNELS:
        expected = f"at most {MAX_CHANNELS} channels in the deepest of {stages} stages"
        raise checks.mismatch(f"{name}: width", expected, channels[-1], "use a smaller width or depth")
    return channels
