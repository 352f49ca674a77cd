"""A run's manifest: what it says must be in the folder, and what is wrong there."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store.seals import digest, unseal

FORMAT = 1
#: The manifest, and what lies beside a run because it tells of the machine and not of the result.
MANIFEST, BESIDE = "run.json", "environment.json"
#: A name inside a manifest is looked up in its own folder and nowhere else.
PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def read(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        StoreError: If it cannot be read, or is no regular file: a pipe would never end.
    """
    try:
        with open(path, "rb", opener=_at_once) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from None
    raise StoreError(f"{path}: expected a regular file, got a pipe or device; delete it and run again")


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def unsealed(path: Path) -> Any:
    """Return the body of a sealed JSON file.

    Raises:
        StoreError: If it is missing or a bit of it has changed.
    """
    try:
        return unseal(read(path))
    except (ValueError, RecursionError):
        raise StoreError(f"{path}: damaged; delete it and run again") from None


def examine(folder: Path, present: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Return what is wrong with a run's folder, and its manifest as far as that can be trusted.

    Args:
        folder: The run's folder, named after its id.
        present: The names in it.
    """
    try:
        manifest = unsealed(folder / MANIFEST)
        files = dict(manifest["files"])
    except (StoreError, TypeError, KeyError, ValueError):
        return [f"{folder / MANIFEST}: {'damaged' if MANIFEST in present else 'missing'}"], {}
    if manifest.get("format") != FORMAT:
        got = f"format {manifest.get('format')!r}, this version reads {FORMAT}"
        return [f"{folder / MANIFEST}: {got}; use the version that wrote it"], manifest
    found = [f"{folder / name}: unexpected file" for name in present if name not in {*files, MANIFEST, BESIDE}]
    found += [line for name, expected in files.items() if (line := _file(folder, name, expected))]
    if not found and files.get("spec.json", "")[:12] != folder.name:
        found.append(f"{folder}/spec.json: belongs to another run")
    return found, manifest


def _file(folder: Path, name: str, expected: str) -> str:
    if not PLAIN_NAME.fullmatch(name):
        return f"{folder / MANIFEST}: odd file name {name!r}"
    if not os.path.lexists(folder / name):
        return f"{folder / name}: missing"
    try:
        whole = digest(read(folder / name)) == expected
    except StoreError as error:
        return str(error)
    return "" if whole else f"{folder / name}: its SHA-256 differs from the manifest"
