"""Checkerscope: a research toolkit for upsampling artifacts. The names that people use; each is imported on first use.

>>> import checkerscope
>>> sorted(checkerscope.__all__)[:3]
['Upsampler', '__version__', 'audit']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checkerscope.analysis.audit import audit
    from checkerscope.analysis.inspect import inspect
    from checkerscope.analysis.measures.checkerboard_energy import checkerboard_energy
    from checkerscope.analysis.measures.tone import tone
    from checkerscope.analysis.statistics import periodicity_test
    from checkerscope.toolkit.contracts.upsampler import Upsampler
    from checkerscope.toolkit.response import phase_gains

    __version__: str

#: Where each name lives.
_HOMES = {
    "Upsampler": "checkerscope.toolkit.contracts.upsampler",
    "audit": "checkerscope.analysis.audit",
    "checkerboard_energy": "checkerscope.analysis.measures.checkerboard_energy",
    "inspect": "checkerscope.analysis.inspect",
    "periodicity_test": "checkerscope.analysis.statistics",
    "phase_gains": "checkerscope.toolkit.response",
    "tone": "checkerscope.analysis.measures.tone",
}

__all__ = [
    "Upsampler",
    "__version__",
    "audit",
    "checkerboard_energy",
    "inspect",
    "periodicity_test",
    "phase_gains",
    "tone",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("checkerscope")
    if name not in _HOMES:
        raise AttributeError(f"module 'checkerscope' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
