"""How a worker process answers a signal: it saves the state of what it works on, and ends."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from checkerscope.experiments.errors import STOPPING


class _State:
    """What a worker process is doing, for its signal handlers: the one piece of state they share."""

    working = False
    signal_received = 0


def start_worker() -> None:
    """Make a worker process finish its step, save its state and end when a signal asks it to stop."""

    def ask(number: int, frame: object) -> None:
        if not _State.working or _State.signal_received == number:  # nothing to save, or asked twice
            os._exit(128 + number)
        _State.signal_received = number

    for number in STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:  # what nohup ignores stays ignored
            signal.signal(number, ask)


@contextlib.contextmanager
def saving_when_stopped() -> Iterator[None]:
    """While this lasts, a signal does not end the process; at its end it does."""
    _State.working = True
    try:
        yield
    finally:
        _State.working = False
        exit_if_stopped()


def is_stopping() -> bool:
    """Return whether this process should save its state and end."""
    return bool(_State.signal_received)


def exit_if_stopped() -> None:
    """End the process if a signal asked for it: what could be saved is, and no further task must be begun."""
    if _State.signal_received:
        os._exit(128 + _State.signal_received)
