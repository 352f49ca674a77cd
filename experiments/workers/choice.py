"""What the command line says about where tasks run, and the executor that follows from it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from checkerscope.experiments.workers import local

#: Returns what a process computes with, such as versions and a digest of its code, by name.
Software = Callable[[], Mapping[str, str]]
INSTALL = "install the extra [{0}]: pip install -c constraints.txt -e '.[{0}]'"


@dataclass(frozen=True)
class Workers:
    """Who works, and on what; nothing in it is meant to change a number.

    Attributes:
        count: Processes, or jobs of Slurm; 0 for none but this one, None for one per core or GPU.
        device: `cpu`, `cuda`, `cuda:N` or `auto`.
        threads: Of each task.
        dask: Address of a Dask scheduler, or nothing.
        dask_tls: Folder of the key and certificate of a Dask cluster, or nothing.
        dask_insecure: Whether it may listen to the network without encryption.
        slurm: Whether the workers are Slurm jobs.
        engine: What trains the models; `auto` chooses for each group of runs.

    Raises:
        ValueError: If it contradicts itself, or needs a package that is not there; with what to say instead.
    """

    count: int | None = None
    device: str = "cpu"
    threads: int = 1
    dask: str | None = None
    dask_tls: Path | None = None
    dask_insecure: bool = False
    slurm: bool = False
    engine: str = "auto"

    def __post_init__(self) -> None:
        if self.dask is not None and self.slurm:
            raise ValueError("--dask and --slurm: expected one of them, got both")
        if self.dask is not None and self.count is not None:
            raise ValueError("--dask and --workers: expected one of them, got both; a cluster has its own workers")
        if (self.dask_tls or self.dask_insecure) and self.dask is None and not self.slurm:
            raise ValueError("--dask-tls, --dask-insecure: expected --dask ADDRESS or --slurm with them, got none")
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

    def start(self, folder: Path, software: Software, say: Callable[[str], None]) -> tuple[Executor, int]:
        """Return the executor, and how many tasks it works on at once.

        Args:
            folder: The study's results, which the workers of other machines must see under the same path.
            software: Finds out what a process computes with; workers of other machines must have the same.
            say: Told what whoever waits should know.

        Raises:
            ValueError: If the cluster does not answer, or one of its workers does not fit.
        """
        if self.dask is not None:
            from checkerscope.experiments.workers import dask as dask_executor

            terms = dask_executor.Terms.here(folder, software, insecure=self.dask_insecure)
            cluster = dask_executor.connect(self.dask, terms, self._certificates, say=say)
            return cluster, cluster.slots
        if self.slurm:
            from checkerscope.experiments.workers import slurm as slurm_executor

            terms = slurm_executor.Terms.here(folder, software, insecure=self.dask_insecure)
            jobs = slurm_executor.start(self.count or 1, self.threads, terms, self._certificates, say=say)
            return jobs, self.count or 1
        if self.count == 0:
            return local.InlineExecutor(), 1
        count = self.count or local.default_workers(self.device)
        return local.local(count, self.device), count

    @property
    def _certificates(self) -> Path | None:
        return None if self.dask_tls is None else self.dask_tls.absolute()
