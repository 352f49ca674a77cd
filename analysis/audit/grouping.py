"""Enlargements that are one place in the code, run once or more often: tile by tile, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from checkerscope.analysis.audit.tracing.plan import Enlargement, Group


@dataclass(frozen=True)
class Grouped:
    """One place, and its runs.

    Attributes:
        key: What the runs have in common.
        events: In order of execution.
    """

    key: Group
    events: tuple[Enlargement, ...]

    @property
    def first(self) -> Enlargement:
        """The first run."""
        return self.events[0]


def grouped(events: Sequence[Enlargement]) -> tuple[Grouped, ...]:
    """Return enlargements with their repetitions put together, in order of their first run."""
    found: dict[Group, list[Enlargement]] = {}
    for event in events:
        found.setdefault(event.group, []).append(event)
    return tuple(Grouped(key, tuple(listed)) for key, listed in found.items())
