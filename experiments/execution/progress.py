"""Progress of a study: counts its runs that are done, diverged, failed, missing or damaged."""

from __future__ import annotations

from dataclasses import dataclass

from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study.grid import Grid


@dataclass(frozen=True)
class Progress:
    """How much of a study is there.

    Attributes:
        total: Runs of the config.
        done: Runs that finished.
        diverged: Runs that finished with numbers that are not finite.
        failed: Runs that raised.
        missing: Runs not yet committed.
        damaged: Lines that name what is wrong with stored runs.
        unlisted: Ids of stored runs of another config (it has changed since).
        failures: One line per failed run: id, arm and why.
    """

    total: int
    done: int
    diverged: int
    failed: int
    missing: int
    damaged: tuple[str, ...]
    unlisted: tuple[str, ...]
    failures: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Return whether every run has ended, in whatever way."""
        return self.done + self.diverged + self.failed == self.total


def progress(grid: Grid, store: Store) -> Progress:
    """Return the state of a study's runs in the store; what is not there is only counted."""
    unlisted = set(store.runs())
    counts = {"done": 0, "diverged": 0, "failed": 0}
    damaged: list[str] = []
    failures: list[str] = []
    bases: set[str] = set()
    for run in grid.among(unlisted):
        if run.spec.base is not None:  # which a cure starts from, whether it is a run of the grid or not
            bases.add(run.spec.base.id)
        if (name := run.spec.id) not in unlisted:
            continue
        unlisted.remove(name)
        found = store.inspect(name)
        damaged += found.problems
        if not found.problems:
            counts[found.status] += 1
        if not found.problems and found.status == "failed":
            failures.append(f"{name} ({run.arm}, seed {run.spec.seed}): {store.record(name)['why']}")
    return Progress(
        len(grid),
        **counts,
        missing=len(grid) - sum(counts.values()),
        damaged=tuple(damaged),
        unlisted=tuple(sorted(unlisted - bases)),
        failures=tuple(failures),
    )
