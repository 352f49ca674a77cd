"""What an audit found, as an object, as text and as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from checkerscope.analysis.audit import text
from checkerscope.analysis.audit.findings import (
    NO_LATTICE,
    NOTHING,
    OWN_FLOOR_DB,
    THRESHOLD_DB,
    Findings,
    Layer,
    Limit,
    Step,
)

__all__ = ["NOTHING", "NO_LATTICE", "OWN_FLOOR_DB", "THRESHOLD_DB", "Findings", "Layer", "Limit", "Report", "Step"]


@dataclass(frozen=True)
class Report(Findings):
    """The result of an audit; `Findings` says what each attribute is."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, without the arrays of the picture."""
        plain = asdict(self)
        for key in ("spectrum", "phase_map"):
            plain.pop(key)
        return plain

    def __str__(self) -> str:
        return "\n".join(text.lines(self))
