"""Forked children that run a piece of work. Imports neither torch nor pytest, so that a fork is cheap."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Callable
from typing import Any


def start_child(work: Callable[[], Any], *, seconds: int = 60) -> int:
    """Run `work` in a child of its own session, which dies after so many seconds; return its process id.

    It exits with 0, or with 1 and a traceback on its standard error if `work` raises anything.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
        pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            signal.alarm(seconds)
            work()
            os._exit(0)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(1)
    return pid


def ending(pid: int) -> int:
    """Wait for a child; return its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_child(work: Callable[[], Any], *, seconds: int = 60) -> int:
    """Run `work` in a child and return how it ended."""
    return ending(start_child(work, seconds=seconds))
