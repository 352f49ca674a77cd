"""One study at work: what the commands share. It tells a reporter how far it is; the store holds the truth."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import compress, groupby, islice
from pathlib import Path
from typing import Any

from checkerscope.experiments.execution import consistency, progress
from checkerscope.experiments.execution.progress import Progress
from checkerscope.experiments.reporter import Reporter, Silent
from checkerscope.experiments.store import verify
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study import config, provenance
from checkerscope.experiments.study.grid import Grid, Run
from checkerscope.experiments.study.shard import Shard
from checkerscope.experiments.workers import scheduler
from checkerscope.experiments.workers.choice import Workers
from checkerscope.experiments.workers.scheduler import Call

#: Grids above this size are started only with --yes.
LARGE = 10_000
#: Most models that are trained together.
TOGETHER = 50


@dataclass
class Session:
    """A config, its grid and its store, with who works on them and on which part."""

    grid: Grid
    results: Path
    store: Store
    workers: Workers = field(default_factory=Workers)
    shard: Shard = field(default_factory=Shard)
    strict: bool = False
    reporter: Reporter = field(default_factory=Silent)

    @classmethod
    def open(
        cls,
        path: Path,
        overrides: tuple[str, ...],
        results: Path,
        *,
        shard: str | None = None,
        strict: bool = False,
        reporter: Reporter | None = None,
        **workers: Any,
    ) -> Session:
        """Return the session of a config file.

        Raises:
            ConfigError: With one line per problem.
            ValueError: If the shard is none, or the workers contradict each other.
        """
        study = config.read(path, overrides)
        store = Store(results, study.study.name)
        store.recall()
        part, who = Shard.parse(shard), reporter or Silent()
        return cls(Grid(study, str(path)), results, store, Workers(**workers), part, strict, who)

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.grid.config.study.name

    def __len__(self) -> int:
        """Return how many runs are this session's to work on."""
        return self.shard.size(len(self.grid))

    def runs(self) -> Iterator[Run]:
        """Yield the runs that are this session's to work on, seeds innermost; never a list: there may be a million."""
        return self.grid.every(self.shard.count, first=self.shard.index - 1)

    # training and measuring

    def train(self, *, allow_large: bool = False) -> list[str]:
        """Train every run that is not finished; what is finished is never touched. Return one line per failed run.

        Raises:
            ValueError: If the device is absent, an arm cannot be built, the grid is large and not allowed, the results
                folder cannot be written to, or what is there was made otherwise (see `consistency.compare`).
            StoreError: If the disk fails.
        """
        if len(self) > LARGE and not allow_large:
            raise ValueError(f"{self.name}: {len(self)} runs; pass --yes to start more than {LARGE}")
        self.store.prepare()
        due = [not self.store.is_finished(run.spec.id) for run in self.runs()]
        self._look_back(due)
        if not any(due):
            return []
        self._preflight(compress(self.runs(), due))
        return self._execute("training", self._training(compress(self.runs(), due)), due).failures()

    def _training(self, runs: Iterable[Run]) -> Iterator[Call]:
        """Yield the tasks that train runs: one each, or one for those that differ by their seeds only."""
        from checkerscope.experiments.execution.joint_training import train_group
        from checkerscope.experiments.execution.training import train_run

        place = self._place()
        if not self.workers.joins_models:
            yield from (Call(run.spec.id, train_run, (run.spec.canonical, place), label=run.arm) for run in runs)
            return
        for _, alike in groupby(runs, lambda run: run.spec.model_copy(update={"seed": 0}).id):
            while group := list(islice(alike, TOGETHER)):
                specs, arm = [run.spec for run in group], group[0].arm
                first, *others = (spec.id for spec in specs)
                if specs[0].base is not None:  # a cure starts from its own run's weights
                    yield from (Call(spec.id, train_run, (spec.canonical, place), label=arm) for spec in specs)
                else:
                    canonicals = tuple(spec.canonical for spec in specs)
                    yield Call(first, train_group, (canonicals, place), tuple(others), arm)

    def _look_back(self, due: list[bool]) -> None:
        """Name what is damaged, and what finished runs were made of or with that is otherwise now, or refuse it."""
        lines = [f"damaged: {line}; it is made again" for line in verify.damage(self.store)]
        finished = list(compress(self.runs(), (not is_due for is_due in due)))
        if finished and (any(due) or self.strict):
            changes = consistency.compare(finished, self.store, self._place(), strict=self.strict)
            lines += [f"warning: {line}" for line in changes]
        for line in lines:
            self.reporter.say(line)

    def has_finished(self) -> bool:
        """Return whether a run of the study has ended, in whatever way and whosever shard it is of."""
        return any(self.store.is_complete(run.spec.id) for run in self.grid.among(self.store.runs()))

    def measure(self) -> list[str]:
        """Take the missing measures of every finished run; return one line per measure that failed."""
        from checkerscope.experiments.execution.measuring import is_measured, measure_run

        measures, asked = self.grid.config.measure.measures, self.grid.config.measure.asked
        due = [
            self.store.is_complete(run.spec.id) and not is_measured(self.store, run.spec, measures, asked)
            for run in self.runs()
        ]
        if not any(due):
            return []
        place = self._place()
        calls = (
            Call(run.spec.id, measure_run, (run.spec.canonical, measures, asked, place), label=run.arm)
            for run in compress(self.runs(), due)
        )
        summary = self._execute("measuring", calls, due)
        lines = [line for result in summary.results.values() for line in result.get("failed", ())]
        return lines + summary.failures()

    def _place(self) -> Any:
        from checkerscope.experiments.execution.training import Place

        return Place(
            str(self.results.resolve()), self.name, self.workers.device, self.workers.threads, self.workers.engine
        )

    def _preflight(self, pending: Iterable[Run]) -> None:
        """Stop a study before it starts where it asks for what this machine, an arm or a measure cannot do."""
        from checkerscope.experiments.execution import preflight
        from checkerscope.toolkit.training.choice import check
        from checkerscope.toolkit.training.devices import pick_device

        device = pick_device(self.workers.device)
        check(self.workers.engine, device)
        preflight.check_runs(pending, self.grid.config.measure, device)

    @functools.cached_property
    def _executor(self) -> tuple[Executor, int]:
        """The executor of all tasks, and how many of them it works on at once."""
        return self.workers.start(self.store.root.resolve(), provenance.software, self.reporter.say)

    def close(self) -> None:
        """End the workers, if there are any."""
        if "_executor" in self.__dict__:
            self._executor[0].shutdown()
            del self._executor

    def _execute(self, verb: str, calls: Iterable[Call], due: list[bool]) -> scheduler.Summary:
        executor, workers = self._executor
        counts: Counter[str] = Counter()
        with self.reporter.bar(verb, total=len(due), done=due.count(False)) as bar:

            def done(key: str, result: dict[str, Any]) -> None:
                counts[result["status"]] += 1
                bar.advance(", ".join(f"{counts[word]} {word}" for word in ("diverged", "failed") if counts[word]))
                if result["status"] == "failed":
                    self.reporter.say(f"failed: {key}: {result['why']}")

            return scheduler.execute(calls, executor, window=2 * workers, done=done)

    # how far it is

    def progress(self) -> Progress:
        """Return how much of the study is there."""
        state = progress.progress(self.grid, self.store)
        self.store.remember()
        return state

    def status_line(self, state: Progress | None = None) -> str:
        """Return the state of the study in one line."""
        state = state or self.progress()
        words = ("done", "diverged", "failed", "missing")
        parts = [f"{getattr(state, word)} {word}" for word in words if getattr(state, word) or word == "done"]
        others = consistency.of_another_config(self.grid, state.unlisted, self.store)
        return f"{self.name}: {', '.join(parts)} of {state.total} runs{others}"
