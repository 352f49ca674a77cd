"""How a worker process ends when it is told to: after it has saved the state of what it works on."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator


class _Duty:
    """What a worker process is doing, for its signal handlers: the one piece of state they share."""

    working = False
    signal_received = 0


def start_worker() -> None:
    """Make a worker process finish its step, save its state and end when it is told to stop."""

    def ask(number: int, frame: object) -> None:
        if not _Duty.working or _Duty.signal_received == number:  # nothing to save, or asked twice
            os._exit(128 + number)
        _Duty.signal_received = number

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # what nohup ignores stays ignored
            signal.signal(number, ask)


@contextlib.contextmanager
def on_duty() -> Iterator[None]:
    """While this lasts, a signal does not end the process; at its end it does."""
    _Duty.working = True
    try:
        yield
    finally:
        _Duty.working = False
        leave_if_told()


def is_told_to_stop() -> bool:
    """Return whether this process should save its state and end."""
    return bool(_Duty.signal_received)


def leave_if_told() -> None:
    """End the process if a signal asked for it: what could be saved is, and no further task must be begun."""
    if _Duty.signal_received:
        os._exit(128 + _Duty.signal_received)
