"""Shards: parts of a grid for processes that know nothing of each other."""

from __future__ import annotations

import re
from dataclasses import dataclass

SHARD = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True)
class Shard:
    """Every `count`-th run of a grid, from run `index` on (counted from 1)."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str | None) -> Shard:
        """Return the shard that `I/N` means; all runs for None.

        >>> Shard.parse("2/3")
        Shard(index=2, count=3)

        Raises:
            ValueError: If it is no such thing.
        """
        if text is None:
            return cls()
        found = SHARD.fullmatch(text.strip())
        index, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= index <= count:
            raise ValueError(f"--shard: expected I/N with I from 1 to N, such as 1/4, got {text[:40]!r}")
        return cls(index, count)

    def size(self, total: int) -> int:
        """Return how many of `total` runs belong to it."""
        return len(range(self.index - 1, total, self.count))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
