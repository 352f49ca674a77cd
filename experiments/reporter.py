"""What long work says while it goes on. Nothing here writes to a screen: that is for the command line."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Protocol


class Bar(Protocol):
    """How far one piece of work is."""

    def advance(self, note: str = "") -> None:
        """Count one more as done; `note` stands beside the bar from now on."""


class Reporter(Protocol):
    """Takes what is to be said, and shows how far work is."""

    def say(self, line: str) -> None:
        """Take one line."""

    def bar(self, verb: str, *, total: int, done: int = 0, unit: str = "runs") -> AbstractContextManager[Bar]:
        """Return a bar for the time of a `with` statement: `done` of `total` units are done before it starts."""


class Silent:
    """Says nothing."""

    def say(self, line: str) -> None:
        """Drop one line."""

    def advance(self, note: str = "") -> None:
        """Drop one step."""

    def bar(self, verb: str, *, total: int, done: int = 0, unit: str = "runs") -> AbstractContextManager[Bar]:
        """Return a bar that nobody sees."""
        return contextlib.nullcontext(self)
