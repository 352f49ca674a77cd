"""Sends tasks to an executor and collects what comes back; the state of truth is the store, never this process."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any

from experiments.executors import is_lost_worker

#: How often a task whose worker died is tried again before it counts as failed.
RETRIES = 2
#: Seconds before a run that another process is training is looked at again.
BUSY_PAUSE = 0.5


@dataclass(frozen=True)
class Call:
    """One task: what it is about, a module-level function and its plain arguments."""

    key: str
    function: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...]


@dataclass
class Summary:
    """What became of the tasks, by key."""

    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    def count(self) -> Counter[str]:
        """Return how many tasks ended in each status."""
        return Counter(result.get("status", "done") for result in self.results.values())

    def failures(self) -> list[str]:
        """Return one line per failed task."""
        return [f"{key}: {r['why']}" for key, r in self.results.items() if r.get("status") == "failed"]


def execute(
    calls: Iterable[Call], executor: Executor, *, window: int, done: Callable[[str, dict[str, Any]], None]
) -> Summary:
    """Run every call once, a bounded number in flight, and report each result as it comes.

    A call whose worker died is submitted again, up to `RETRIES` times; one that answers "busy" goes to the back.
    On any exception here, and on Ctrl-C, the executor is told to stop and the exception passes on.
    """
    queue, flying = deque(calls), dict[Future[dict[str, Any]], Call]()
    summary, tries = Summary(), Counter[str]()
    try:
        while queue or flying:
            while queue and len(flying) < window:
                call = queue.popleft()
                flying[executor.submit(call.function, *call.arguments)] = call
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                call = flying.pop(future)
                result = _result(future)
                tries[call.key] += result["status"] == "lost"
                if result["status"] == "lost" and tries[call.key] > RETRIES:
                    result["status"] = "failed"
                if result["status"] in ("lost", "busy"):
                    queue.append(call)
                    time.sleep(BUSY_PAUSE if result["status"] == "busy" else 0)
                    continue
                summary.results[call.key] = result
                done(call.key, result)
    except BaseException:
        executor.shutdown(wait=True, cancel_futures=True)
        raise
    return summary


def _result(future: Future[dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"status": "done", **future.result()}
    except Exception as error:
        kind = "lost" if is_lost_worker(error) else "failed"
        return {"status": kind, "why": f"{type(error).__name__}: {error}".splitlines()[0]}
