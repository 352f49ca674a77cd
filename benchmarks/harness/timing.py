"""Interleaved timing, and the machine's ceilings."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

ROUNDS = 3


def interleaved(sides: dict[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return each side's median over A B A B rounds."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            taken[name].append(side())
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def worked(call: Callable[[], Any]) -> Callable[[], float]:
    """Return a function that gives the processor seconds of a call: a busy machine hardly changes them."""

    def run() -> float:
        began = time.process_time()
        call()
        return time.process_time() - began

    return run


def gemm(size: int = 1024, times: int = 10) -> tuple[Callable[[], Any], float]:
    """Return a call that multiplies float32 matrices with one thread, and its operations."""
    import torch

    a, b = torch.rand(size, size), torch.rand(size, size)
    return lambda: [torch.mm(a, b) for _ in range(times)], times * 2.0 * size**3


def copy(size: int = 2**25, times: int = 3) -> tuple[Callable[[], Any], float]:
    """Return a call that copies 128 MB with one thread, and the bytes that it reads and writes."""
    import torch

    source, target = torch.rand(size), torch.empty(size)
    return lambda: [target.copy_(source) for _ in range(times)], times * 2.0 * 4 * size
