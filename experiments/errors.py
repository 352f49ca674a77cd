"""What went wrong, in one line for people: the errors of this package, and whose fault one of another is.

Imports nothing heavy: the program's entry needs it before it knows the command.
"""

from __future__ import annotations

import errno
import re
import signal

#: Errors that say that the disk is full or broken: the next run would meet them too.
DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG)
#: How a RuntimeError says that memory ran out: torch's allocators on Linux and Windows, CUDA, cuBLAS, C++ and oneDNN,
#: whose "could not create a primitive descriptor" says something else: that it has no such operation.
OUT_OF_MEMORY = re.compile(
    "can't allocate memory|not enough memory|out of memory|_ALLOC_FAILED|std::bad_alloc|could not create a primitive$"
)
#: How the dynamic linker says it, which loads parts of a library when they are first needed.
NO_ROOM_TO_LOAD = re.compile("failed to map segment|cannot allocate memory", re.IGNORECASE)
ADDRESS = re.compile("0x[0-9a-f]{6,}")
#: Signals that ask this program, or a worker, to stop.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoreError(Exception):
    """Something stored is missing, damaged or of another version; the message names it."""


class Stopped(BaseException):
    """A termination signal arrived: no `except` around somebody's code may take it for theirs."""

    def __init__(self, number: int) -> None:
        self.number = number


#: Raised by the handlers of signals.
STOPS = (KeyboardInterrupt, Stopped)


def is_of_the_disk(error: BaseException) -> bool:
    """Return whether the disk is full or broken."""
    return isinstance(error, OSError) and error.errno in DISK_FAULTS


def is_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out, of the machine or of the device."""
    match error:
        case MemoryError():
            return True
        case OSError():
            return error.errno == errno.ENOMEM
        case ImportError():
            return NO_ROOM_TO_LOAD.search(_said(error)) is not None
        case RuntimeError():  # torch.OutOfMemoryError among them
            if type(error).__name__ == "OutOfMemoryError":
                return True
            return OUT_OF_MEMORY.search(_said(error)) is not None
    return False


def printable(text: str) -> str:
    r"""Return text that cannot move the cursor: whatever does not print is written as an escape.

    >>> print(printable("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(error: BaseException) -> str:
    """Return what happened in one printable line that is the same each time it happens."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'results'}: {error.strerror}"
    text = ADDRESS.sub("0x...", f"{type(error).__name__}: {_said(error)}".splitlines()[0])
    return printable(text)[:500]


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a component's own exception may be broken too
        return "(it cannot be printed)"
