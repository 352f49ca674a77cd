"""The only file that changes the disk: seven functions, so that every fault of a disk can be tried on each of them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

#: What a lock that somebody else holds looks like; any other error means that the file system has no locks.
HELD = (BlockingIOError, PermissionError)
#: Names that are tried for a temporary file: each is drawn from 64 bits, so that a second try is rare already.
TRIES = 100
TEMPORARY = ".tmp-"
#: Errors that say that nothing may be written there, and nothing is wrong with the disk.
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class NoLocks(Exception):
    """Nothing can be locked there; the message says why, not where."""


@contextlib.contextmanager
def if_writable() -> Iterator[None]:
    """Leave out what is written inside where nothing may be written; what is wrong with the disk still raises."""
    try:
        yield
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise


def write(path: Path, data: bytes) -> None:
    """Put `data` under `path` so that a reader sees the old file or the whole new one, whenever the power fails.

    A link under that name is replaced; what it leads to is left alone.
    """
    make_folder(path.parent)
    _remove_orphans(path)
    try:
        temporary, descriptor = _temporary(path)
        try:
            _fill(descriptor, data)
            move(temporary, path)
        except BaseException:
            remove(temporary)
            raise
        finally:
            os.close(descriptor)
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # the name that people know
        raise
    sync_folder(path.parent)


def write_here(path: Path, data: bytes) -> None:
    """Write a new file in place and wait until its bytes are safe; only for names that nobody reads yet.

    Raises:
        FileExistsError: If the name is taken, be it by a link: nothing is ever written through one.
    """
    try:
        descriptor = _create(path)
        try:
            _fill(descriptor, data)
        finally:
            os.close(descriptor)
    except OSError as error:
        error.filename = str(path)  # these calls know only a number
        raise


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)


def _fill(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def probe(folder: Path) -> None:
    """Make a file in a folder and remove it again.

    Raises:
        OSError: If nothing can be written there.
    """
    _remove_orphans(folder / "probe")
    temporary, descriptor = _temporary(folder / "probe")
    os.close(descriptor)
    remove(temporary)


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


# temporary files: whoever writes one holds a lock on it, which dies with its process on whatever machine


def fresh_name() -> str:
    """Return a name that nobody can guess."""
    return os.urandom(8).hex()


def _temporary(path: Path) -> tuple[Path, int]:
    """Return a new file beside `path`, its descriptor, and with it the lock that says that it is being written."""
    for _ in range(TRIES):
        temporary = path.with_name(f"{TEMPORARY}{fresh_name()}-{path.name}")
        try:
            descriptor = _create(temporary)
        except FileExistsError:
            continue
        with contextlib.suppress(OSError):  # taken for an orphan just now, or no locks here: then nothing is removed
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)
    raise FileExistsError(errno.EEXIST, f"none of {TRIES} new names was free")


def _remove_orphans(path: Path) -> None:
    """Remove what dead processes left when they were about to put something under `path`."""
    for orphan in path.parent.glob(f"{TEMPORARY}*-{glob.escape(path.name)}"):
        # removed under the lock: whoever made it just now finds it gone before it is used, and makes another
        with _lock(orphan, os.O_RDWR, fcntl.LOCK_EX) as is_orphan:
            if is_orphan:
                remove(orphan)


def is_written(path: Path) -> bool:
    """Return whether a living process, of this machine or another one, writes a temporary file."""
    with _lock(path, os.O_RDONLY, fcntl.LOCK_SH) as is_orphan:
        return is_orphan is False


@contextlib.contextmanager
def _lock(path: Path, flags: int, how: int) -> Iterator[bool | None]:
    """Lock a temporary file; yields False where its writer holds it, None where nobody can know."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # gone, or a link
        yield None
        return
    try:
        yield _flocked(descriptor, how) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


def _flocked(descriptor: int, how: int) -> bool | None:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except HELD:
        return False
    except OSError:
        return None
    return True


# runs: one byte of one file each


@contextlib.contextmanager
def locked(path: Path, byte: int) -> Iterator[bool]:
    """Hold one byte of a lock file; yields False where another process holds it.

    A POSIX record lock: it dies with its owner, however that dies, and a forked child does not inherit it. It belongs
    to the process, which loses all its locks on the file when it closes it: hold one at a time.

    Raises:
        NoLocks: If the file system has none, or the file cannot be opened or is none: a pipe would be waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise NoLocks("expected a file, got a link; delete it and run again") from None
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
