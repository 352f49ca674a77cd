"""Whole files in the wrong place, files that grew, archives that nobody wrote, and stores that cannot be written to."""

from __future__ import annotations

import errno
import io
import itertools
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkerscope.experiments.__main__ import run
from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store import disk, runs, verify
from checkerscope.experiments.store.manifest import unsealed
from checkerscope.experiments.store.records import load_records
from checkerscope.experiments.store.records import read_manifest as load_manifest
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.store.seals import digest, npz, read_npz, sealed, to_json

Command = Callable[..., int]

# sealed files in each other's place

SEALED = {
    "manifest": "runs/*/run.json",
    "environment": "runs/*/environment.json",
    "measure": "measures/*/tone.json",
    "manifest of records": "records/manifest.json",
    "paper": "paper.json",
    "index": "index.json",
}


@pytest.fixture
def study(results: Path, tiny: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished study with an index and another note."""
    monkeypatch.setattr(runs, "WORTHWHILE", 4)
    assert checkerscope("status", tiny) == 0
    Store(results, "tiny").save_note("paper", {"stamp": "x"})
    return results / "tiny"


def one(study: Path, kind: str) -> Path:
    return min(study.glob(SEALED[kind]))


@pytest.mark.parametrize(("what", "where"), list(itertools.permutations(SEALED, 2)))
def test_a_sealed_file_in_the_place_of_another_is_named_and_stops_no_command(
    what: str, where: str, study: Path, tiny: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    path = one(study, where)
    shutil.copy(one(study, what), path)
    checked, problems = verify.verify_folder(study)
    assert checked > 20
    # a note of version 0.1.0 says of nothing what it is: another's sealed file is no note, and is made again
    is_note = path.parent == study
    assert is_note or [line for line in problems if str(path) in line or str(path.parent) in line]
    capsys.readouterr()
    assert checkerscope("status", tiny) == 0
    assert checkerscope("collect", tiny) == 0
    assert run(["verify", str(study)]) in (0, 1)
    assert checkerscope("run", tiny) == checkerscope("measure", tiny) == checkerscope("collect", tiny) == 0
    assert checkerscope("status", tiny) == 0
    assert capsys.readouterr().out.endswith("tiny: 4 done of 4 runs\n")


@pytest.mark.parametrize(("what", "where"), [("paper", "index"), ("index", "paper")])
def test_a_note_says_what_it_is_of(what: str, where: str, study: Path) -> None:
    path = one(study, where)
    shutil.copy(one(study, what), path)
    assert verify.verify_folder(study)[1] == [f"{path}: a note of something else; delete it"]
    assert Store(study.parent, "tiny").load_note(where) is None


@pytest.mark.parametrize("body", [[], {"x": 1}, {"x": [1]}, {"0123456789ab": ["", "dune", 7]}, "x", None, 7])
def test_an_index_of_another_shape_is_passed_over(body: Any, study: Path, tiny: Path, checkerscope: Command) -> None:
    Store(study.parent, "tiny").save_note("index", body)
    assert checkerscope("status", tiny) == 0


MANIFESTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another status": lambda body: {**body, "status": "dune"},
    "no status": lambda body: {key: value for key, value in body.items() if key != "status"},
    "digests that are numbers": lambda body: {**body, "files": dict.fromkeys(body["files"], 7)},
    "files as a list": lambda body: {**body, "files": list(body["files"])},
    "sizes that are text": lambda body: {**body, "sizes": dict.fromkeys(body["files"], "7")},
    "kept steps that are text": lambda body: {**body, "kept": ["0"]},
    "a list": lambda body: [body],
    "a number": lambda body: 7,
}


@pytest.mark.parametrize("change", MANIFESTS)
def test_a_sealed_manifest_of_another_shape_is_damaged(
    change: str, study: Path, tiny: Path, checkerscope: Command
) -> None:
    path = one(study, "manifest")
    path.write_bytes(sealed(MANIFESTS[change](unsealed(path))))
    assert any(str(path) in line and "damaged" in line for line in verify.verify_folder(study)[1])
    assert checkerscope("status", tiny) == checkerscope("collect", tiny) == 0


# what lies beside a run


def test_environments_that_were_swapped_are_named_and_reach_no_table(
    results: Path, tiny: Path, checkerscope: Command
) -> None:
    store = Store(results, "tiny")
    first, second = (store.root / "runs" / name / "environment.json" for name in store.runs()[:2])
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    problems = verify.verify_folder(results)[1]
    assert [line.partition(";")[0] for line in problems] == [
        f"{path}: belongs to another run or training" for path in (first, second)
    ]
    assert store.environment(store.runs()[0]) == {}


@pytest.mark.parametrize("how", ["lost", "damaged", "of an earlier training"])
def test_an_environment_that_is_lost_is_said_and_mended(
    how: str, results: Path, tiny: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(results, "tiny")
    path = store.root / "runs" / store.runs()[0] / "environment.json"
    inodes = {each: each.stat().st_ino for each in store.root.glob("runs/*/run.json")}
    if how == "lost":
        path.unlink()
    else:
        body = {**unsealed(path), "of": digest(b"")}
        path.write_bytes(sealed(body) if how == "of an earlier training" else b"{")
    (line,) = verify.verify_folder(results)[1]
    assert line.endswith("the next `checkerscope run` notes here that versions and times are lost")
    assert checkerscope("run", tiny) == 0
    assert verify.verify_folder(results)[1] == [], "what verify says mends it"
    assert store.environment(store.runs()[0]) == {"lost": True}
    assert {each: each.stat().st_ino for each in inodes} == inodes, "nothing was trained again"
    assert checkerscope("run", tiny, "--set", "grid.seed=[0, 1, 2]") == 0
    assert "1 of 4 finished runs were made with code unknown, now" in capsys.readouterr().err


def test_an_environment_of_version_0_1_is_read(results: Path) -> None:
    store = Store(results, "tiny")
    name = store.runs()[0]
    path = store.root / "runs" / name / "environment.json"
    kept = store.environment(name)
    path.write_bytes(sealed(kept))
    assert store.environment(name) == kept
    assert verify.verify_folder(results)[1] == []


# files that grew

GROWN = {
    **SEALED,
    "weights": "runs/*/step-0000008.safetensors",
    "history": "runs/*/history.csv",
    "arrays": "measures/*/radial_spectrum.npz",
    "checkpoint": "work/*/*.safetensors",
    "table": "records/values.csv",
    "collected arrays": "records/arrays.npz",
}


@pytest.mark.parametrize("has_sizes", [True, False])
@pytest.mark.parametrize("kind", GROWN)
def test_a_file_that_grew_to_a_terabyte_is_named_and_the_rest_is_checked(
    kind: str, has_sizes: bool, study: Path, tiny: Path, checkerscope: Command
) -> None:
    """The file is sparse. Without sizes: as version 0.1.0 wrote manifests."""
    Store(study.parent, "tiny").save_checkpoint("0123456789ab", 5, b"x")
    whole, _ = verify.verify_folder(study)
    if not has_sizes:
        forget_sizes(study)
    path = min(study.glob(GROWN[kind]))
    os.truncate(path, 2**40)
    checked, problems = verify.verify_folder(study)
    assert checked >= whole - 8, "the files of a run whose manifest is gone are not known"
    assert [line for line in problems if str(path) in line or str(path.with_suffix(".json")) in line]
    assert len(problems) <= (13 if kind == "manifest" else 4), "measures of a run without a manifest count for nothing"
    assert checkerscope("status", tiny) == 0


def forget_sizes(study: Path) -> None:
    for path in (*study.glob("runs/*/run.json"), *study.glob("measures/*/*.json")):
        body = unsealed(path)
        path.write_bytes(sealed({key: value for key, value in body.items() if key not in ("sizes", "size", "of")}))
    for path in study.glob("runs/*/environment.json"):
        path.write_bytes(sealed({key: value for key, value in unsealed(path).items() if key != "of"}))
    entries = unsealed(study / "records" / "manifest.json")
    (study / "records" / "manifest.json").write_bytes(sealed({n: entry["sha256"] for n, entry in entries.items()}))
    (path,) = study.glob("work/*/*.safetensors")
    path.rename(path.with_name(".".join(path.name.split(".")[:2]) + ".safetensors"))


# archives that nobody wrote


def archive(**how: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **how) as file:
        file.writestr("x.npy", b"no array")
    return buffer.getvalue()


def flagged(data: bytes, bit: int) -> bytes:
    """Set a bit of the flags in both headers of a ZIP's first member."""
    changed = bytearray(data)
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        changed[changed.index(signature) + offset] |= bit
    return bytes(changed)


def header(shape: str) -> bytes:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def member(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("x.npy", data)
    return buffer.getvalue()


def crafted() -> dict[str, bytes]:
    good = npz({"x": np.arange(100.0)})
    middle = good.index(b"x.npy") + 60
    return {
        "empty": b"",
        "no archive": b"PK" + bytes(100),
        "a bare array": header("(1,)") + bytes(8),
        "encrypted": flagged(good, 1),
        "a broken checksum": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
        "cut": good[: len(good) // 2],
        "no array in it": archive(),
        "a method that nobody has": good.replace(struct.pack("<H", 8), struct.pack("<H", 77)),
        "a shape of 10^18": member(header("(10**18,)".replace("10**18", "1" + "0" * 18))),
        "a shape beyond the end": member(header("(2000000000,)") + bytes(8)),
        "a header of 60,000 bytes": member(header("(" + "1," * 25_000 + ")")),
        "a text": member(b"x"),
    }


@pytest.mark.parametrize("what", crafted())
def test_an_archive_that_nobody_wrote_is_refused_in_one_line(
    what: str, study: Path, tiny: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every digest and size is right: in the records, and as the arrays of a measure."""
    data = crafted()[what]
    with pytest.raises(ValueError, match="no archive of arrays"):
        read_npz(data)
    records = study / "records"
    entries = unsealed(records / "manifest.json")
    (records / "arrays.npz").write_bytes(data)
    entry = {"sha256": digest(data), "size": len(data)}
    (records / "manifest.json").write_bytes(sealed({**entries, "arrays.npz": entry}))
    with pytest.raises(StoreError, match="no records"):
        load_records(records)
    assert run(["verify", str(study)]) == 1
    assert "no archive of arrays" in capsys.readouterr().out
    arrays = min(study.glob("measures/*/radial_spectrum.npz"))
    arrays.write_bytes(data)
    body = unsealed(arrays.with_suffix(".json"))
    arrays.with_suffix(".json").write_bytes(sealed({**body, "arrays": digest(data), "size": len(data)}))
    if data:  # a measure without arrays has the digest of nothing
        assert checkerscope("collect", tiny) == 1
        assert f"{arrays}: no archive of arrays" in capsys.readouterr().err


def test_an_archive_that_unpacks_to_more_than_memory_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    from checkerscope.experiments.store import seals

    monkeypatch.setattr(seals, "MOST_ARRAYS", 1000)
    with pytest.raises(ValueError, match="1128 bytes unpacked, more than 1000"):
        read_npz(npz({"x": np.zeros(125)}))


def test_the_end_of_a_file_is_no_interruption(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Click takes an EOFError for Ctrl-D, and ends with 130; ours asks nobody anything."""

    def ended(folder: Path) -> None:
        raise EOFError

    monkeypatch.setattr(verify, "verify_folder", ended)
    with pytest.raises(EOFError):
        run(["verify", str(tmp_path)])


# stores that cannot be written to


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_store_that_cannot_be_written_to_is_read(
    number: int, study: Path, tiny: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (study / "index.json").unlink()
    open_ = os.open

    def refused(path: Any, flags: int, *mode: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(number, os.strerror(number), str(path))
        return open_(path, flags, *mode)

    monkeypatch.setattr(disk.os, "open", refused)
    capsys.readouterr()
    assert checkerscope("status", tiny) == 0
    assert capsys.readouterr().out == "tiny: 4 done of 4 runs\n"
    assert run(["verify", str(study)]) == 0
    assert Store(study.parent, "tiny").save_note("paper", {}) is None
    monkeypatch.undo()
    assert not (study / "index.json").exists()


def test_records_and_report_of_a_store_that_cannot_be_written_to_go_elsewhere(
    study: Path, tiny: Path, tmp_path: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_, mkdir, before = os.open, os.mkdir, sorted(study.rglob("*"))

    def refused(path: Any, flags: int, *mode: int, **how: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and study in Path(path).parents:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return open_(path, flags, *mode, **how)

    def no_folder(path: Any, *mode: int, **how: Any) -> None:
        if study in Path(path).parents:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        mkdir(path, *mode, **how)

    monkeypatch.setattr(disk.os, "open", refused)
    monkeypatch.setattr(disk.os, "mkdir", no_folder)
    assert checkerscope("collect", tiny, "--output", str(tmp_path / "records")) == 0
    assert len(load_records(tmp_path / "records").runs) == 4
    assert checkerscope("paper", tiny, "--output", str(tmp_path / "report")) == 0
    assert list((tmp_path / "report").glob("*.pdf"))
    monkeypatch.undo()
    assert sorted(study.rglob("*")) == before


def test_published_records_are_verified_all_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    published = Path(__file__).parents[3] / "paper" / "data"
    assert run(["verify", str(published)]) == 0
    counted = sum(len(load_manifest(path.parent)) + 1 for path in published.glob("*/manifest.json"))
    assert capsys.readouterr().out == f"{counted} files checked, 0 problems\n"


def test_a_full_disk_is_said_when_a_note_is_kept(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(disk, "write", full)
    with pytest.raises(OSError, match="No space left"):
        Store(study.parent, "tiny").save_note("paper", to_json({}).decode())
