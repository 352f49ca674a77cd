"""One study at work: what the commands share. Shows the one progress bar; the store holds the truth."""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from experiments import collect, config, paper, provenance, runner, terminal
from experiments import store as files
from experiments.grid import Grid, Run
from experiments.runner import Call
from experiments.store import Store

#: Grids above this size are started only with --yes.
LARGE = 10_000
BAR = "{desc} |{bar}| {n_fmt} of {total_fmt} runs{postfix}, {remaining} left"


@dataclass
class Session:
    """A config, its grid and its store, with how to work on them."""

    grid: Grid
    results: Path
    store: Store
    device: str = "cpu"
    workers: int | None = None
    threads: int = 1

    @classmethod
    def open(cls, path: Path, overrides: tuple[str, ...], results: Path, **how: Any) -> Session:
        """Return the session of a config file.

        Raises:
            ConfigError: With one line per problem.
        """
        study = config.read(path, overrides)
        return cls(Grid(study, str(path)), results, Store(results, study.study.name), **how)

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.grid.config.study.name

    def runs(self) -> list[Run]:
        """Return the runs of the grid, seeds innermost."""
        return list(self.grid)

    # training and measuring

    def train(self, *, allow_large: bool = False) -> list[str]:
        """Train every run that is not finished; what is finished is never touched. Return one line per failed run.

        Raises:
            ValueError: If the device is absent, an arm cannot be built, the grid is large and not allowed, or the
                results folder cannot be written to.
            StoreError: If the disk fails.
        """
        if len(self.grid) > LARGE and not allow_large:
            raise ValueError(f"{self.name}: {len(self.grid)} runs; pass --yes to start more than {LARGE}")
        self.store.prepare()
        pending = [run for run in self.runs() if not self.store.is_finished(run.spec.id)]
        if not pending:
            return []
        from experiments.task import train_run

        self._vet(pending)
        calls = [Call(run.spec.id, train_run, (run.spec.canonical, self._place())) for run in pending]
        return self._execute("training", calls, total=len(self.grid)).failures()

    def measure(self) -> list[str]:
        """Take the missing measures of every finished run; return one line per measure that failed."""
        from experiments.task import is_measured, measure_run

        measures = self.grid.config.measure.measures
        asked = {"images": self.grid.config.measure.images, "margin": self.grid.config.measure.margin}
        due = [
            run.spec
            for run in self.runs()
            if self.store.is_complete(run.spec.id) and not is_measured(self.store, run.spec, measures, asked)
        ]
        calls = [Call(spec.id, measure_run, (spec.canonical, measures, asked, self._place())) for spec in due]
        summary = self._execute("measuring", calls, total=len(calls)) if calls else runner.Summary()
        lines = [line for result in summary.results.values() for line in result.get("failed", ())]
        return lines + summary.failures()

    def _place(self) -> Any:
        from experiments.task import Place

        return Place(str(self.results.resolve()), self.name, self.device, self.threads)

    def _vet(self, pending: Sequence[Run]) -> None:
        """Build every arm once and run one image through it, so that a bad arm stops the study before it starts."""
        from experiments.vetting import vet
        from toolkit.training.engine import pick_device

        pick_device(self.device)
        seen: set[str] = set()
        for run in pending:
            if run.arm not in seen:
                seen.add(run.arm)
                vet(run.spec, run.arm)

    @functools.cached_property
    def _executor(self) -> tuple[Executor, int]:
        """The executor of all tasks, and how many of them it works on at once."""
        from experiments import executors

        if self.workers == 0:
            return executors.InlineExecutor(), 1
        workers = self.workers or executors.default_workers(self.device)
        return executors.local(workers, self.device), workers

    def close(self) -> None:
        """End the workers, if there are any."""
        if "_executor" in self.__dict__:
            self._executor[0].shutdown()
            del self._executor

    def _execute(self, verb: str, calls: list[Call], *, total: int) -> runner.Summary:
        executor, workers = self._executor
        counts: Counter[str] = Counter()
        bar = tqdm(
            total=total,
            initial=total - len(calls),
            desc=verb,
            bar_format=BAR,
            disable=None,
            dynamic_ncols=True,
            file=sys.stderr,
            ascii=terminal.fit("█") != "█",
        )

        def done(key: str, result: dict[str, Any]) -> None:
            counts[result["status"]] += 1
            troubles = [f"{counts[word]} {word}" for word in ("diverged", "failed") if counts[word]]
            bar.set_postfix_str(", ".join(troubles), refresh=False)
            bar.update()
            if result["status"] == "failed":
                bar.write(f"failed: {key}: {result['why']}", file=sys.stderr)

        with bar:
            return runner.execute(calls, executor, window=2 * workers, done=done)

    # reporting

    def progress(self) -> collect.Progress:
        """Return how much of the study is there."""
        return collect.progress(self.runs(), self.store)

    def status_line(self) -> str:
        """Return the state of the study in one line."""
        state = self.progress()
        words = ("done", "diverged", "failed", "missing")
        parts = [f"{getattr(state, word)} {word}" for word in words if getattr(state, word) or word == "done"]
        strangers = f"; {len(state.strangers)} stored runs belong to another config" if state.strangers else ""
        return f"{self.name}: {', '.join(parts)} of {state.total} runs{strangers}"

    def failures(self) -> list[str]:
        """Return one line per failed run: id, arm and why."""
        lines = []
        for run in self.runs():
            if self.store.is_complete(run.spec.id):
                record = self.store.record(run.spec.id)
                if record["status"] == "failed":
                    lines.append(f"{run.spec.id} ({run.arm}, seed {run.spec.seed}): {record['why']}")
        return lines

    # records and paper

    def collect(self, *, publish: bool) -> list[Path]:
        """Write the records of the finished runs; return the folders written."""
        records = collect.collect(self.grid, self.store)
        folders = [self.store.root / "records"]
        if publish:
            state = self.progress()
            if not state.is_complete:
                raise ValueError(f"{self.status_line()}; finish it before --publish, with: checkerscope run")
            folders.append(self._published)
        for folder in folders:
            collect.save(records, folder)
        return folders

    @property
    def _published(self) -> Path:
        return paper.PAPER / "data" / self.name

    def records_folder(self) -> Path:
        """Return where the study's records are read from: its results if complete, else the committed data."""
        if self.progress().is_complete:
            folder = self.store.root / "records"
            if not (folder / "manifest.json").is_file():
                self.collect(publish=False)
            return folder
        if self._published.is_dir():
            return self._published
        raise ValueError(
            f"{self.status_line()}, and no committed {self._published}; finish it with: checkerscope study"
        )

    def differences(self) -> list[str]:
        """Return which committed records differ from those of the results folder."""
        fresh, committed = collect.collect(self.grid, self.store), collect.load(self._published)
        return collect.differences(fresh, committed)

    def publish(self, output: Path | None) -> None:
        """Draw, build and compile from the records, then show the main table and where everything lies."""
        folder = self.records_folder()
        records = collect.load(folder)
        if self.name != records.study:
            raise ValueError(f"{folder}: expected records of {self.name}, got {records.study}")
        stamp = provenance.drawing_code() + files.digest(files.read(folder / "manifest.json"))
        made = self._up_to_date(stamp)
        if made is None:
            made = paper.build(records, paper.PAPER, self._say)
            self.store.save_note("paper", {"stamp": stamp, "made": made.to_json()})
            self._build_companions()
        pdf = paper.compile_pdf(output or paper.PAPER / "checkerscope.pdf", study=self.name, root=paper.PAPER)
        self._show(records, folder, made, pdf)

    def _build_companions(self) -> None:
        """Build what the manuscript shows of other studies from their committed records."""
        for name in paper.COMPANIONS:
            folder = paper.PAPER / "data" / name
            if name != self.name and folder.is_dir():
                self._say(name)
                paper.build(collect.load(folder), paper.PAPER)

    @staticmethod
    def _say(line: str) -> None:
        click.echo(f"  {line}", err=True)

    def _up_to_date(self, stamp: str) -> paper.Output | None:
        note = self.store.load_note("paper")
        if note is None or note["stamp"] != stamp:
            return None
        made = paper.Output.from_json(note["made"])
        return made if all(path.is_file() for path in (*made.figures, *made.tables, made.numbers)) else None

    def _show(self, records: Any, folder: Path, made: paper.Output, pdf: Path) -> None:
        from analysis.tables import main_results

        click.echo(terminal.columns(main_results.brief(records)))
        for line in made.skipped:
            click.echo(f"left out: {line}", err=True)
        shown = {
            "PDF": pdf,
            "figures": made.numbers.parent.parent / "figures" / self.name,
            "CSV": folder / "values.csv",
        }
        click.echo("")
        for label, path in shown.items():
            click.echo(f"{label + ':':<9}{_short(path)}")


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
