"""Sends tasks to an executor and collects what comes back; the state of truth is the store, never this process."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.workers.local import is_lost_worker

#: How often a task whose worker died is tried again before it counts as failed.
RETRIES = 2
#: Seconds before runs that other processes are working on are looked at again, when nothing else is left to do.
BUSY_PAUSE = 0.5


@dataclass(frozen=True)
class Call:
    """One task: what it is about, a module-level function and its plain arguments.

    Attributes:
        key: What its result is kept under.
        function: Returns what became of it, with "runs" for the results of several keys.
        arguments: Of the function.
        others: Further keys, for a task about several runs.
        label: What people call it; said where its worker died, which cannot say it itself.
    """

    key: str
    function: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...]
    others: tuple[str, ...] = ()
    label: str = ""


@dataclass
class Summary:
    """What became of the tasks, by key."""

    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    def count(self) -> Counter[str]:
        """Return how many tasks ended in each status."""
        return Counter(result["status"] for result in self.results.values())

    def failures(self) -> list[str]:
        """Return one line per failed task."""
        return [f"{key}: {r['why']}" for key, r in self.results.items() if r["status"] == "failed"]


def execute(
    calls: Iterable[Call], executor: Executor, *, window: int, done: Callable[[str, dict[str, Any]], None]
) -> Summary:
    """Run every call once, a bounded number in flight, and report each result as it comes.

    A call whose worker died is submitted again, up to `RETRIES` times; one that answers "busy" goes to the back.
    On any exception here, and on Ctrl-C, the executor is told to stop and the exception passes on.

    Raises:
        StoreError: If a task says that the disk failed.
    """
    fresh, again, flying = iter(calls), deque[Call](), dict[Future[dict[str, Any]], Call]()
    summary, lost, busy = Summary(), Counter[str](), set[str]()
    try:
        while True:
            while len(flying) < window and (call := next(fresh, None) or (again.popleft() if again else None)):
                flying[executor.submit(call.function, *call.arguments)] = call
            if not flying:
                return summary
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                call, result = flying.pop(future), _result(future)
                if result["status"] == "lost":
                    lost[call.key] += 1
                if result["status"] == "halted":
                    raise StoreError(f"{call.key}: {result['why']}; finished runs are kept, start again to go on")
                if result["status"] == "busy" or (result["status"] == "lost" and lost[call.key] <= RETRIES):
                    busy |= {call.key} if result["status"] == "busy" else set()
                    again.append(call)
                    continue
                result = _final(call, result, lost[call.key])
                answers = result.get("runs") or dict.fromkeys((call.key, *call.others), result)
                for key, answer in answers.items():
                    summary.results[key] = answer
                    done(key, answer)
            if again and busy.issuperset(call.key for call in (*again, *flying.values())):
                time.sleep(BUSY_PAUSE)
    except BaseException:
        executor.shutdown(wait=True, cancel_futures=True)
        raise


def _final(call: Call, result: dict[str, Any], times: int) -> dict[str, Any]:
    """Return what is said of a task that is not tried again: one whose worker died names what it was about."""
    if result["status"] != "lost":
        return result
    about = f"{call.label}: " if call.label else ""
    return {**result, "status": "failed", "why": f"{about}{result['why']}, {times} times"}


def _result(future: Future[dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"status": "done", **future.result()}
    except Exception as error:
        kind = "lost" if is_lost_worker(error) else "failed"
        return {"status": kind, "why": f"{type(error).__name__}: {error}".splitlines()[0]}
