"""The only reader and writer of results: atomic, hashed, resumable.

    results/<study>/
      runs/<id>/            one committed run: spec.json, history.csv, step-*.safetensors, run.json (the manifest);
                            environment.json (versions, host, times) lies beside them, outside the digest
      checkpoints/          <id>.<sha256>.safetensors of runs under way
      measures/<id>/        one JSON per measure, its own digest inside, and its arrays as NPZ
      records/              the collected tables
      locks/                one file per run being trained; the lock dies with its process

A run is committed by one rename of a folder whose files were fsynced. `run.json` present and every hash right means
complete; nothing else counts. Every write of the project goes through `_write`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1
RUN_ID = re.compile(r"[0-9a-f]{12}")
#: Files of a run folder that are outside the digest, because they tell of the machine and not of the result.
BESIDE = ("environment.json",)


class StoreError(Exception):
    """Something stored is missing, damaged or of another version; the message names it."""


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def to_json(value: Any) -> bytes:
    """Return canonical, readable JSON: sorted keys, no NaN, one final newline."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=True) + "\n").encode()


def write(path: Path, data: bytes) -> None:
    """Put `data` under `path` so that a reader sees the old file or the whole new one, whenever the power fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        _write(temporary, data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        StoreError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from None


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return arrays as a compressed NPZ archive; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{key: arrays[key] for key in sorted(arrays)})  # type: ignore[arg-type]
    return buffer.getvalue()


def read_npz(data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an NPZ archive, never unpickling."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def sealed(body: Any) -> bytes:
    """Return JSON that carries the digest of its own body."""
    return to_json({"body": body, "sha256": digest(to_json(body))})


def unsealed(path: Path) -> Any:
    """Return the body of a sealed JSON file.

    Raises:
        StoreError: If it is missing, no JSON, or its digest differs.
    """
    try:
        value = json.loads(read(path))
        intact = value["sha256"] == digest(to_json(value["body"]))
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise StoreError(f"{path}: damaged; delete it and run again")
    return value["body"]


class Store:
    """The results of one study."""

    def __init__(self, results: Path, study: str) -> None:
        self.root = results / study

    def prepare(self) -> None:
        """Create the folders and remove what dead processes left half-written.

        Raises:
            ValueError: If the folder cannot be written to.
        """
        try:
            for name in ("runs", "checkpoints", "measures", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            write(self.root / "locks" / ".probe", b"")
        except OSError as error:
            raise ValueError(
                f"{self.root}: not writable ({error.strerror}); choose another folder with --results"
            ) from None
        self._sweep()

    # runs

    def commit(
        self, run: str, files: Mapping[str, bytes], record: Mapping[str, Any], beside: Mapping[str, Any]
    ) -> None:
        """Store a finished run in one rename; committing it a second time changes nothing.

        Args:
            run: Run id.
            files: Name to content; their hashes go into the manifest.
            record: What the manifest says of the run (status, steps, ...).
            beside: The environment, outside the digest.
        """
        target = self.root / "runs" / run
        temporary = self.root / "runs" / f".tmp-{os.getpid()}-{run}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        manifest = {"format": FORMAT, "run": run, **record, "files": {name: digest(files[name]) for name in files}}
        try:
            for name, data in files.items():
                _write(temporary / name, data)
            _write(temporary / BESIDE[0], to_json(beside))
            _write(temporary / "run.json", to_json(manifest))
            _sync_folder(temporary)
            self._replace_folder(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        self.drop_checkpoint(run)

    def _replace_folder(self, temporary: Path, target: Path) -> None:
        if target.exists():
            if not self.problems(target.name) and self.record(target.name)["status"] != "failed":
                shutil.rmtree(temporary, ignore_errors=True)  # somebody else committed the same run
                return
            stale = target.with_name(f".tmp-{os.getpid()}-stale-{target.name}")
            os.rename(target, stale)
            shutil.rmtree(stale, ignore_errors=True)
        os.rename(temporary, target)
        _sync_folder(target.parent)

    def problems(self, run: str) -> list[str]:
        """Return what is wrong with a run's folder; an empty list means complete and intact."""
        folder = self.root / "runs" / run
        try:
            manifest = json.loads(read(folder / "run.json"))
            files = dict(manifest["files"])
            version = manifest["format"]
        except StoreError:
            return [f"{folder}: no run.json"]
        except (ValueError, KeyError, TypeError):
            return [f"{folder}/run.json: damaged"]
        if version != FORMAT:
            return [f"{folder}/run.json: format {version!r}, this version reads {FORMAT}"]
        found = [f"{folder}/{name}: unexpected file" for name in self._extra(folder, files)]
        for name, expected in files.items():
            try:
                if digest(read(folder / name)) != expected:
                    found.append(f"{folder}/{name}: its SHA-256 differs from the manifest")
            except StoreError:
                found.append(f"{folder}/{name}: missing")
        if "spec.json" in files and not found and digest(read(folder / "spec.json"))[:12] != run:
            found.append(f"{folder}/spec.json: belongs to another run")
        return found

    def _extra(self, folder: Path, files: Mapping[str, str]) -> list[str]:
        return sorted(path.name for path in folder.iterdir() if path.name not in {*files, *BESIDE, "run.json"})

    def is_complete(self, run: str) -> bool:
        """Return whether a run is committed and every hash is right."""
        return not self.problems(run)

    def runs(self) -> list[str]:
        """Return the ids of all run folders, whatever their state."""
        folder = self.root / "runs"
        return sorted(p.name for p in folder.iterdir() if RUN_ID.fullmatch(p.name)) if folder.is_dir() else []

    def record(self, run: str) -> dict[str, Any]:
        """Return a complete run's manifest.

        Raises:
            StoreError: If the run is not complete and intact.
        """
        self._require(run)
        return json.loads(read(self.root / "runs" / run / "run.json"))

    def environment(self, run: str) -> dict[str, Any]:
        """Return what lies beside a run: versions, host, times; empty where it is damaged."""
        try:
            return json.loads(read(self.root / "runs" / run / BESIDE[0]))
        except (StoreError, ValueError):
            return {}

    def load(self, run: str, name: str) -> bytes:
        """Return one file of a complete run, checked against the manifest."""
        self._require(run)
        return read(self.root / "runs" / run / name)

    def _require(self, run: str) -> None:
        found = self.problems(run)
        if found:
            raise StoreError(found[0])

    # checkpoints

    def save_checkpoint(self, run: str, data: bytes) -> None:
        """Keep the state of a run under way; its digest is in its name, and older ones go after it is safe."""
        path = self.root / "checkpoints" / f"{run}.{digest(data)}.safetensors"
        write(path, data)
        self.drop_checkpoint(run, keep=path)

    def load_checkpoint(self, run: str) -> bytes | None:
        """Return the newest intact checkpoint of a run, or None; damaged ones are passed over."""
        paths = self._checkpoints(run)
        for path in sorted(paths, key=lambda p: p.stat().st_mtime_ns, reverse=True):
            data = read(path)
            if digest(data) == path.name.split(".")[1]:
                return data
        return None

    def drop_checkpoint(self, run: str, keep: Path | None = None) -> None:
        """Remove a run's checkpoints, except `keep`."""
        for path in self._checkpoints(run):
            if path != keep:
                path.unlink(missing_ok=True)

    def _checkpoints(self, run: str) -> list[Path]:
        return list((self.root / "checkpoints").glob(f"{run}.*.safetensors"))

    # measures

    def save_measure(self, run: str, name: str, body: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Store what one measure says of one run; the JSON is written last and makes it count."""
        folder = self.root / "measures" / run
        packed = npz(arrays) if arrays else b""
        if packed:
            write(folder / f"{name}.npz", packed)
        write(folder / f"{name}.json", sealed({**body, "arrays": digest(packed)}))

    def load_measure(self, run: str, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """Return a measure's body and arrays, or None where it is absent or damaged (it is then measured again)."""
        folder = self.root / "measures" / run
        try:
            body = unsealed(folder / f"{name}.json")
            packed = b"" if body["arrays"] == digest(b"") else read(folder / f"{name}.npz")
        except StoreError:
            return None
        if digest(packed) != body["arrays"]:
            return None
        return body, read_npz(packed) if packed else {}

    # notes

    def save_note(self, name: str, body: Any) -> None:
        """Keep something that can be made again, such as what a drawing was made from."""
        write(self.root / f"{name}.json", sealed(body))

    def load_note(self, name: str) -> Any:
        """Return a note, or None where it is absent or damaged."""
        try:
            return unsealed(self.root / f"{name}.json")
        except StoreError:
            return None

    # one process per run

    @contextlib.contextmanager
    def lock(self, run: str) -> Iterator[bool]:
        """Hold a run while training it; yields False where another process holds it.

        A POSIX record lock: it dies with its owner, and a forked child does not inherit it.
        """
        path = self.root / "locks" / f"{run}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a") as handle:
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True

    def _sweep(self) -> None:
        for folder in (self.root / "runs", self.root / "checkpoints", self.root / "measures", self.root / "locks"):
            for orphan in folder.rglob(".tmp-*"):
                if not _alive(int(orphan.name.split("-")[1])):
                    shutil.rmtree(orphan) if orphan.is_dir() else orphan.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
