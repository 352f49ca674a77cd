"""The only file that changes the disk: six functions, so that every fault of a disk can be tried on each of them."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

#: What a lock that somebody else holds looks like; any other error means that the file system has no locks.
HELD = (BlockingIOError, PermissionError)


class NoLocks(Exception):
    """Nothing can be locked there; the message says why, not where."""


def write(path: Path, data: bytes) -> None:
    """Put `data` under `path` so that a reader sees the old file or the whole new one, whenever the power fails."""
    make_folder(path.parent)
    for orphan in path.parent.glob(f".tmp-*-{glob.escape(path.name)}"):
        if _alive(orphan.name) is False:
            remove(orphan)
    temporary = path.with_name(f".tmp-{owner()}-{path.name}")
    try:
        write_here(temporary, data)
        move(temporary, path)
    except BaseException as error:
        remove(temporary)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None  # the name that people know
        raise
    sync_folder(path.parent)


def write_here(path: Path, data: bytes) -> None:
    """Write a file in place and wait until its bytes are safe; only for names that nobody reads yet."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except OSError as error:
        error.filename = str(path)  # these calls know only a number
        raise
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, so that they are still there after a power cut."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with contextlib.suppress(FileExistsError):  # somebody else made it just now; a file of that name fails later
        os.mkdir(path)
    sync_folder(path.parent)


def move(old: Path, new: Path) -> None:
    """Rename a file or folder, atomically; it is safe once its folder is synced."""
    os.rename(old, new)


def remove(path: Path) -> None:
    """Remove a file or folder as far as possible: what is left is never counted, and the next one tries again."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are safe."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, byte: int) -> Iterator[bool]:
    """Hold one byte of a lock file; yields False where another process holds it.

    A POSIX record lock: it dies with its owner, however that dies, and a forked child does not inherit it. It belongs
    to the process, which loses all its locks on the file when it closes it: hold one at a time.

    Raises:
        NoLocks: If the file system has none, or the file cannot be opened or is none: a pipe would be waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
    except OSError as error:
        raise NoLocks(f"cannot be locked ({error.strerror})") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NoLocks("expected a file; delete it and run again")
        yield _took(descriptor, byte)
    finally:
        os.close(descriptor)


def _took(descriptor: int, byte: int) -> bool:
    """Return whether a byte of a file is this process's now, and no other one's."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except HELD:
        return False
    except OSError as error:
        raise NoLocks(f"cannot be locked ({error.strerror}); put --results on a file system with locks") from None
    return True


def owner() -> str:
    """Return a name for this process that no other one has at this time, on any machine that shares the disk."""
    return f"{hashlib.sha256(os.uname().nodename.encode()).hexdigest()[:8]}-{os.getpid()}"


def is_written(name: str) -> bool:
    """Return whether a living process of this machine writes the temporary file `.tmp-<machine>-<pid>-...`."""
    return _alive(name) is True


def _alive(name: str) -> bool | None:
    """Return whether the process that wrote a temporary file lives; None of other machines', where nobody knows."""
    machine, _, rest = name.removeprefix(".tmp-").partition("-")
    pid = rest.partition("-")[0]
    if machine != owner().partition("-")[0] or not pid.isdecimal():
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError, ValueError):
        return None
    return True
