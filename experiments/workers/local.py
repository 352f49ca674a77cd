"""Executors for the runner, which takes any `concurrent.futures.Executor`: worker processes of this machine, or none.

Those of other machines are in `dask_executor.py` and `slurm_executor.py`.

`concurrent.futures.ProcessPoolExecutor` and loky fail every pending task when one worker is killed, and pools whose
workers share a queue can hang when one dies while it holds the queue's lock. Here every worker has a pipe of its own:
whenever and however it is killed, it loses its own task only, which the runner submits again.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from multiprocessing import resource_tracker
from typing import Any

from checkerscope.experiments.errors import STOPPING

#: Seconds that a worker gets to finish its step and save its state before it is killed.
GRACE = 20.0
#: How a lost worker shows itself in a task's future: here, and in Dask, which cancels all when its scheduler is gone.
WORKER_LOST = ("WorkerLost", "KilledWorker", "CommClosedError", "CancelledError", "FutureCancelledError")
#: The prctl that names the signal which a process gets when its parent dies (Linux).
PR_SET_PDEATHSIG = 1
#: Two intra-op threads on a busy machine run many times slower than one.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class WorkerLost(Exception):
    """A worker process died while it worked on a task."""


class TaskError(Exception):
    """A task raised; the message carries the exception's type and text, since not every exception can travel."""


class InlineExecutor(Executor):
    """Runs every call at once, in this process: for a debugger, and for tests."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the call and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class LocalExecutor(Executor):
    """Spawned worker processes of this machine.

    Args:
        environments: One worker per entry, each with these environment variables beside `ONE_THREAD`.
    """

    def __init__(self, environments: Sequence[dict[str, str]]) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._workers = [_Worker(environment) for environment in environments]
        self._threads = [threading.Thread(target=self._feed, args=(w,), daemon=True) for w in self._workers]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule a call in one of the workers."""
        future: Future[Any] = Future()
        self._queue.put((future, fn, args, kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the workers end after what is scheduled; with `cancel_futures`, make them save their state and end."""
        if cancel_futures:
            self._drop_scheduled()
        for _ in self._workers:
            self._queue.put(None)
        if cancel_futures:
            for worker in self._workers:
                worker.stop()
        deadline = time.monotonic() + GRACE
        for worker, thread in zip(self._workers, self._threads, strict=True):
            if wait and cancel_futures:
                thread.join(max(0.0, deadline - time.monotonic()))
                worker.kill()
            if wait:
                thread.join()

    def _drop_scheduled(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()[0].cancel()

    def _feed(self, worker: _Worker) -> None:
        while (item := self._queue.get()) is not None:
            future, fn, args, kwargs = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = worker.call(fn, args, kwargs)
            except Exception as error:
                future.set_exception(error)
            else:
                future.set_result(result)
        worker.close()


class _Worker:
    """One process at a time and its pipe; a process that died is replaced when the next call comes."""

    #: Starting processes from several threads at once confuses multiprocessing's list of children.
    _starting = threading.Lock()

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = {**ONE_THREAD, **environment}
        self.process: Any = None
        self.pipe: Any = None
        self.stopped = False

    def call(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what the call returns in the worker process.

        Raises:
            WorkerLost: If the process died.
            TaskError: If the call raised.
        """
        try:
            if self.process is None or not self.process.is_alive():
                self._start()
            self.pipe.send((fn, args, kwargs))
            raised, answer = self.pipe.recv()
        except (EOFError, ConnectionError) as error:
            self.close()
            raise WorkerLost(f"its worker process died ({self._ending()})") from error
        if raised:
            raise TaskError(answer)
        return answer

    def _start(self) -> None:
        self.close()
        if self.stopped:
            raise ConnectionError("the pool is shutting down")
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self.environment, os.getpid()), daemon=True)
        try:
            with self._starting:
                resource_tracker.ensure_running()  # or it would start below, and unblock the signals
                # inherited by the process, which takes signals once it can answer them; and this thread needs none
                signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
                process.start()
        except BaseException:  # no descriptors, processes or memory are left
            self.pipe.close()
            raise
        finally:
            theirs.close()  # or the end of the process would not close the pipe
        self.process = process  # not earlier: one that has not started can be neither joined nor ended
        if self.stopped:  # meanwhile, when there was no process to tell
            self.stop()

    def _ending(self) -> str:
        code = None if self.process is None else self.process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def stop(self) -> None:
        """Ask the process to save its state and end."""
        self.stopped = True
        if self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        """Kill the process if it still runs."""
        if self.process is not None:
            self.process.kill()

    def close(self) -> None:
        """End the process after its present task."""
        if self.pipe is not None:
            self.pipe.close()
        if self.process is not None:
            self.process.join()


def serve(pipe: Any, environment: dict[str, str], parent: int) -> None:
    """Answer calls in a worker process until the pipe is closed.

    Args:
        pipe: Gives (function, arguments, keyword arguments), takes (whether it raised, result or message).
        environment: Variables to set before torch is imported.
        parent: Process id of the pool; when it dies, however it dies, this process saves its state and ends.
    """
    os.environ.update(environment)
    from checkerscope.experiments.workers.signals import start_worker  # imports torch

    start_worker()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    with contextlib.suppress(EOFError, ConnectionError):
        while os.getppid() == parent:
            pipe.send(_answer(*pipe.recv()))


def _answer(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
    try:
        return False, fn(*args, **kwargs)
    except Exception as error:
        return True, f"{type(error).__name__}: {error}"


def local(workers: int, device: str) -> LocalExecutor:
    """Return the worker processes for a device: on several GPUs one per GPU, in turn.

    Args:
        workers: Number of processes.
        device: As given on the command line; workers see one GPU each where it is `cuda` or `auto`.
    """
    visible = gpus(device)
    slots = [{"CUDA_VISIBLE_DEVICES": visible[i % len(visible)]} if visible else {} for i in range(workers)]
    return LocalExecutor(slots)


def gpus(device: str) -> list[str]:
    """Return the GPUs that workers are spread over, as `CUDA_VISIBLE_DEVICES` names them; none for one named device."""
    if device not in ("cuda", "auto"):
        return []
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if named else [str(index) for index in range(count)]


def default_workers(device: str = "cpu") -> int:
    """Return one worker per GPU where GPUs are used, else one per core that this process may use."""
    return len(gpus(device)) or len(os.sched_getaffinity(0))


def is_lost_worker(error: BaseException) -> bool:
    """Return whether a task failed because its worker died, not because of what it did."""
    return type(error).__name__ in WORKER_LOST
