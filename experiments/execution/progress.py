"""How much of a study is there: done, diverged, failed, missing, damaged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study.grid import Run


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
        strangers: Run folders that belong to no run of the config (it has changed since).
        failures: One line per failed run: id, arm and why.
    """

    total: int
    done: int
    diverged: int
    failed: int
    missing: int
    damaged: tuple[str, ...]
    strangers: tuple[str, ...]
    failures: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Return whether every run has ended, in whatever way."""
        return self.done + self.diverged + self.failed == self.total


def progress(runs: Iterable[Run], store: Store) -> Progress:
    """Return the state of a study's runs in the store."""
    total, strangers = 0, set(store.runs())
    counts = {"done": 0, "diverged": 0, "failed": 0}
    damaged: list[str] = []
    failures: list[str] = []
    bases: set[str] = set()
    for total, run in enumerate(runs, 1):  # noqa: B007
        if run.spec.base is not None:  # which a cure starts from, whether it is a run of the grid or not
            bases.add(run.spec.base.id)
        if (name := run.spec.id) not in strangers:
            continue
        strangers.remove(name)
        found = store.inspect(name)
        damaged += found.problems
        if not found.problems:
            counts[found.status] += 1
        if not found.problems and found.status == "failed":
            failures.append(f"{name} ({run.arm}, seed {run.spec.seed}): {store.record(name)['why']}")
    return Progress(
        total,
        **counts,
        missing=total - sum(counts.values()),
        damaged=tuple(damaged),
        strangers=tuple(sorted(strangers - bases)),
        failures=tuple(failures),
    )
