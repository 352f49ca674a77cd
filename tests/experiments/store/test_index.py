"""The index of a large study: it saves the hashing, and hides nothing that was touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from checkerscope.experiments.execution.session import Session
from checkerscope.experiments.store import manifest, runs

Command = Callable[..., int]


@pytest.fixture
def indexed(tiny: Path, results: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished study with an index, as a large one has."""
    monkeypatch.setattr(runs, "WORTHWHILE", 4)
    assert checkerscope("status", tiny) == 0
    return results / "tiny" / "index.json"


def test_what_was_hashed_is_not_hashed_again(
    tiny: Path, indexed: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    real = manifest.read

    def watched(path: Path, *size: int | None, **most: int) -> bytes:
        read.append(path)
        return real(path, *size, **most)

    monkeypatch.setattr(manifest, "read", watched)
    assert Session.open(tiny, (), results).progress().done == 4
    assert {path.name for path in read} == {"index.json"}
    indexed.unlink()
    assert Session.open(tiny, (), results).progress().done == 4
    assert len([path for path in read if path.suffix == ".safetensors"]) == 8


def test_a_small_study_has_no_index(tiny: Path, results: Path, checkerscope: Command) -> None:
    assert checkerscope("status", tiny) == 0
    assert not (results / "tiny" / "index.json").exists()


@pytest.mark.parametrize("keep_time", [False, True])
def test_a_touched_file_is_hashed_again(
    keep_time: bool, tiny: Path, indexed: Path, results: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = next((results / "tiny" / "runs").glob("*/step-0000008.safetensors"))
    before, data = weights.stat(), bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(data)
    if keep_time:
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    capsys.readouterr()
    assert checkerscope("status", tiny) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("tiny: 3 done, 1 missing of 4 runs\n")
    assert f"{weights.name}: its SHA-256 differs from the manifest" in shown
    assert checkerscope("run", tiny) == 0, "it is trained again"
    assert checkerscope("status", tiny) == 0
    assert capsys.readouterr().out.endswith("tiny: 4 done of 4 runs\n")


def test_a_damaged_index_is_passed_over_and_named(
    tiny: Path, indexed: Path, results: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    from checkerscope.experiments.__main__ import run

    indexed.write_bytes(indexed.read_bytes().replace(b"done", b"dune", 1))
    capsys.readouterr()
    assert run(["verify", str(results)]) == 1
    assert "index.json: damaged; delete it and run again" in capsys.readouterr().out
    assert checkerscope("status", tiny) == 0
    assert capsys.readouterr().out == "tiny: 4 done of 4 runs\n"
    assert run(["verify", str(results)]) == 0, "it was written again"
