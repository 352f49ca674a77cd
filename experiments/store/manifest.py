"""A run's manifest: what it says must be in the folder, and what is wrong there."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store.seals import digest, unseal

FORMAT = 1
#: The manifest, and what lies beside a run because it tells of the machine and not of the result.
MANIFEST, BESIDE = "run.json", "environment.json"
#: How a run may have ended.
STATUSES = ("done", "diverged", "failed")
#: A name inside a manifest is looked up in its own folder and nowhere else.
PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
#: Largest file that is read where nothing says how large it should be, and largest sealed JSON, in bytes.
MOST_BYTES, MOST_SEALED = 2**32, 2**29
LINK = "a link, and the store follows none; delete it, or put there what it leads to"


def read(path: Path, size: int | None = None, *, most: int = MOST_BYTES) -> bytes:
    """Return a file's bytes; its size is looked at first, so that one that has grown is not read.

    Args:
        path: The file.
        size: In bytes, where something says it.
        most: Largest size, where nothing does.

    Raises:
        StoreError: If it cannot be read, has another size, or is no regular file: a pipe would never end.
    """
    try:
        with open(path, "rb", opener=_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise StoreError(f"{path}: expected a regular file, got a pipe or device; delete it and run again")
            if size is not None and found.st_size != size:
                raise StoreError(f"{path}: expected {size} bytes, got {found.st_size}")
            if found.st_size > most and size is None:
                raise StoreError(f"{path}: expected at most {most} bytes, got {found.st_size}; delete it and run again")
            return file.read(found.st_size)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from None
    except MemoryError:
        raise StoreError(f"{path}: does not fit into memory") from None


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def unsealed(path: Path) -> Any:
    """Return the body of a sealed JSON file.

    Raises:
        StoreError: If it is missing or a bit of it has changed.
    """
    try:
        return unseal(read(path, most=MOST_SEALED))
    except (ValueError, RecursionError):
        raise StoreError(f"{path}: damaged; delete it and run again") from None


def describe(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return what a manifest says of files: their digests, and their sizes in bytes."""
    return {
        "files": {name: digest(data) for name, data in files.items()},
        "sizes": {name: len(data) for name, data in files.items()},
    }


def examine(folder: Path, present: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Return what is wrong with a run's folder, and its manifest as far as that can be trusted.

    Args:
        folder: The run's folder, named after its id.
        present: The names in it.
    """
    path = folder / MANIFEST
    if path.is_symlink():
        return [f"{path}: {LINK}"], {}
    try:
        manifest = unsealed(path)
        found_format = manifest["format"]
    except (StoreError, TypeError, KeyError):
        return [f"{path}: {'damaged' if MANIFEST in present else 'missing'}"], {}
    if found_format != FORMAT:
        got = f"format {found_format!r}, this version reads {FORMAT}"
        return [f"{path}: {got}; use the version that wrote it"], manifest
    if not _is_manifest(manifest):
        return [f"{path}: damaged: it is not a run's manifest"], {}
    files, sizes = manifest["files"], manifest.get("sizes", {})  # version 0.1.0 did not keep sizes
    found = [f"{folder / name}: unexpected file" for name in present if name not in {*files, MANIFEST, BESIDE}]
    found += [line for name, expected in files.items() if (line := _file(folder, name, expected, sizes.get(name)))]
    if not found and not files.get("spec.json", "").startswith(folder.name):
        found.append(f"{folder}/spec.json: belongs to another run")
    return found, manifest


def _is_manifest(body: Mapping[str, Any]) -> bool:
    """Return whether a sealed body has the shape that the store writes."""
    files, sizes, kept = (body.get(key, default) for key, default in (("files", None), ("sizes", {}), ("kept", [])))
    return (
        body.get("status") in STATUSES
        and isinstance(files, dict)
        and all(isinstance(value, str) for value in files.values())
        and isinstance(sizes, dict)
        and all(isinstance(value, int) for value in sizes.values())
        and isinstance(kept, list)
        and all(isinstance(step, int) for step in kept)
        and isinstance(body.get("why", ""), str)
    )


def _file(folder: Path, name: str, expected: str, size: int | None) -> str:
    path = folder / name
    if not PLAIN_NAME.fullmatch(name):
        return f"{folder / MANIFEST}: odd file name {name!r}"
    if path.is_symlink():
        return f"{path}: {LINK}"
    if not os.path.lexists(path):
        return f"{path}: missing"
    try:
        whole = digest(read(path, size)) == expected
    except StoreError as error:
        return str(error)
    return "" if whole else f"{path}: its SHA-256 differs from the manifest"
