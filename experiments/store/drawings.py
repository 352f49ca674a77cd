"""A folder of figures, tables and documents: what lies in it, from which records and code, by digest.

    document.json       what the document says besides: title, method, numbers, captions
    figures/, tables/   as drawn
    drawn.json          sealed: digests of the records and of the code, and of every file
    lock                held while a command draws

Paths in `drawn.json` are relative, so that the folder may move, and another checkout's drawings are never taken for
these.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store import disk
from checkerscope.experiments.store.manifest import LINK, PLAIN_NAME, read, unsealed
from checkerscope.experiments.store.seals import digest, sealed

NOTE, LOCK = "drawn.json", "lock"
AGAIN = "draw again with: checkerscope paper"
#: Seconds between two looks at a lock that another command holds.
PAUSE = 0.2


@contextlib.contextmanager
def alone(folder: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold a folder while drawing into it; waits for another command that does.

    Raises:
        StoreError: If the file system has no locks.
    """
    disk.make_folder(folder)
    said = False
    while True:
        try:
            with disk.locked(folder / LOCK, 0) as held:
                if held:
                    yield
                    return
        except disk.NoLocks as error:
            raise StoreError(f"{folder / LOCK}: {error}") from None
        if not said:
            waiting(f"{folder}: another command draws here; waiting for it")
            said = True
        time.sleep(PAUSE)


def note(folder: Path) -> dict[str, Any]:
    """Return what was drawn into a folder: `source` and `files`; empty where nothing was, or the note is damaged."""
    with contextlib.suppress(StoreError):
        found = unsealed(folder / NOTE)
        if isinstance(found, dict) and isinstance(found.get("files"), dict) and all(map(_inside, found["files"])):
            return found
    return {}


def _inside(name: str) -> bool:
    """Return whether a name of the note leads to a file of the folder itself."""
    return all(PLAIN_NAME.fullmatch(part) for part in PurePosixPath(name).parts)


def is_current(folder: Path, source: Mapping[str, str]) -> bool:
    """Return whether everything in a folder was drawn from this source and lies there as it was drawn."""
    found = note(folder)
    return found.get("source") == source and not any(line for _, line in compare(folder))


def write(folder: Path, files: Mapping[str, bytes], source: Mapping[str, str]) -> None:
    """Put files into a folder and note what they were drawn from; files that were drawn from anything else go.

    Raises:
        StoreError: If a folder inside it is a link.
    """
    for inner in {(folder / name).parent for name in files} - {folder}:
        if inner.is_symlink():
            raise StoreError(f"{inner}: {LINK}")
    before = note(folder)
    names = {name: digest(data) for name, data in files.items()}
    for name, data in files.items():
        disk.write(folder / name, data)
    old = before.get("files", {})
    kept = old if before.get("source") == source else {}
    disk.write(folder / NOTE, sealed({"source": dict(source), "files": {**kept, **names}}))
    for name in set(old) - set(kept) - set(names):
        disk.remove(folder / name)


def load(path: Path) -> Any:
    """Return a JSON file of a folder of drawings.

    Raises:
        StoreError: If it is not there, or no JSON.
    """
    try:
        return json.loads(read(path))
    except ValueError:
        raise StoreError(f"{path}: damaged; {AGAIN}") from None


def compare(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of every file that was drawn, and what is wrong with it ("" for nothing)."""
    if (folder / NOTE).exists() and not note(folder):
        yield NOTE, f"{folder / NOTE}: damaged; {AGAIN}"
    for name, expected in note(folder).get("files", {}).items():
        try:
            is_whole = digest(read(folder / name)) == expected
            yield name, "" if is_whole else f"{folder / name}: its SHA-256 differs from {NOTE}; {AGAIN}"
        except StoreError as error:
            yield name, f"{error}; {AGAIN}"
