"""What the command line says about where tasks run, and the executor that follows from it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from checkerscope.experiments.workers import local

INSTALL = "install the extra [{0}]: pip install -c constraints.txt -e '.[{0}]'"


@dataclass(frozen=True)
class Workers:
    """Who works, and on what; nothing in it is meant to change a number.

    Attributes:
        count: Processes, or jobs of Slurm; 0 for none but this one, None for one per core or GPU.
        device: `cpu`, `cuda`, `cuda:N` or `auto`.
        threads: Of each task.
        dask: Address of a Dask scheduler, or nothing.
        slurm: Whether the workers are Slurm jobs.
        engine: What trains the models; `auto` chooses for each group of runs.

    Raises:
        ValueError: If it contradicts itself, or needs a package that is not there; with what to say instead.
    """

    count: int | None = None
    device: str = "cpu"
    threads: int = 1
    dask: str | None = None
    slurm: bool = False
    engine: str = "auto"

    def __post_init__(self) -> None:
        if self.dask is not None and self.slurm:
            raise ValueError("--dask and --slurm: expected one of them, got both")
        if self.dask is not None and self.count is not None:
            raise ValueError("--dask and --workers: expected one of them, got both; a cluster has its own workers")
        if self.slurm and not self.count:
            raise ValueError("--slurm: expected --workers N with the number of jobs")
        if self.dask is not None and importlib.util.find_spec("distributed") is None:
            raise ValueError(
                f"--dask: expected the package distributed, which is not installed; {INSTALL.format('dask')}"
            )
        if self.slurm and importlib.util.find_spec("dask_jobqueue") is None:
            raise ValueError(
                f"--slurm: expected the package dask-jobqueue, which is not installed; {INSTALL.format('slurm')}"
            )

    @property
    def joins_models(self) -> bool:
        """Whether runs that differ by their seeds only are given to a worker together."""
        return self.engine in ("graph", "grouped") or (self.engine == "auto" and self.device != "cpu")

    def start(self, folder: Path, say: Callable[[str], None]) -> tuple[Executor, int]:
        """Return the executor, and how many tasks it works on at once.

        Args:
            folder: The study's results, which the workers of other machines must see under the same path.
            say: Told of workers that are refused, or not there yet.

        Raises:
            ValueError: If the cluster does not answer, or one of its workers does not fit.
        """
        if self.dask is not None:
            from checkerscope.experiments.workers import dask as dask_executor

            cluster = dask_executor.connect(self.dask, folder, say)
            return cluster, cluster.slots
        if self.slurm:
            from checkerscope.experiments.workers import slurm as slurm_executor

            return slurm_executor.start(self.count or 1, self.threads, folder, say), self.count or 1
        if self.count == 0:
            return local.InlineExecutor(), 1
        count = self.count or local.default_workers(self.device)
        return local.local(count, self.device), count
