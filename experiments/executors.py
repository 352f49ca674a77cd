"""Executors for the runner, which takes any `concurrent.futures.Executor`: local worker processes here, others beside.

A killed worker loses its own task only (`concurrent.futures.ProcessPoolExecutor` fails every pending one), and the
runner submits that task again.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pebble

from experiments.task import start_worker

#: How a lost worker shows itself in a task's future, whatever the executor.
WORKER_LOST = ("ProcessExpired", "BrokenProcessPool", "KilledWorker", "TerminatedWorkerError")


class LocalExecutor(Executor):
    """One spawned worker process per core, each with one intra-op thread."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        # two intra-op threads on a busy machine run many times slower than one; the environment reaches the workers
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")
        context = multiprocessing.get_context("spawn")
        self._pool = pebble.ProcessPool(max_workers=workers, context=context, initializer=start_worker)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule a call in one of the workers."""
        return self._pool.schedule(fn, args=list(args), kwargs=kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close the pool; with `cancel_futures`, tell the workers to save their state and end."""
        if cancel_futures:
            self._pool.stop()
        else:
            self._pool.close()
        if wait:
            self._pool.join()


def default_workers() -> int:
    """Return one worker per core that this process may use."""
    return len(os.sched_getaffinity(0))


def is_lost_worker(error: BaseException) -> bool:
    """Return whether a task failed because its worker died, not because of what it did."""
    return type(error).__name__ in WORKER_LOST
