"""What a run costs besides its training, out of the output of benchmarks/overhead.py."""

from __future__ import annotations

from typing import Any


def per_run(found: dict[str, Any]) -> dict[str, float]:
    """Return the milliseconds per run of every executor and kind of task of one grid."""
    return {
        f"{executor}, {kind}": 1e3 * value
        for executor, taken in found.items()
        if executor != "commands"
        for kind in ("train", "measure")
        for key, value in taken.items()
        if key in (f"{kind}_seconds", f"{kind}_seconds_per_run")
    }
