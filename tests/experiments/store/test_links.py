"""Links and names that somebody put there beforehand: nothing is written, deleted or locked through them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store import disk, verify
from checkerscope.experiments.store.runs import Store

Command = Callable[..., int]
PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of somebody else's."""
    path = tmp_path / "victim"
    path.write_bytes(b"mine")
    return path


# temporary files


def test_links_under_every_name_of_this_and_the_next_processes_lead_nowhere(tmp_path: Path, victim: Path) -> None:
    """Version 0.1.0 named a temporary file after machine and process, and opened it through a link."""
    shared = tmp_path / "shared"
    shared.mkdir()
    machine = hashlib.sha256(os.uname().nodename.encode()).hexdigest()[:8]
    for pid in range(os.getpid() - 1500, os.getpid() + 1500):
        (shared / f".tmp-{machine}-{pid}-picture.png").symlink_to(victim)
    disk.write(shared / "picture.png", b"picture")
    assert (shared / "picture.png").read_bytes() == b"picture"
    assert not (shared / "picture.png").is_symlink()
    assert victim.read_bytes() == b"mine"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_name_that_is_taken_is_not_opened_and_another_is_drawn(
    kind: str, tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([b"\0" * 8, b"\0" * 8, b"\1" * 8])
    taken = tmp_path / f".tmp-{'00' * 8}-x"
    taken.symlink_to(victim) if kind == "link" else taken.write_bytes(b"theirs")
    monkeypatch.setattr(disk, "_remove_orphans", lambda path: None)
    monkeypatch.setattr(disk.os, "urandom", lambda count: next(drawn))
    disk.write(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert victim.read_bytes() == b"mine"
    assert taken.read_bytes() == (b"mine" if kind == "link" else b"theirs")


def test_names_cannot_be_guessed(tmp_path: Path) -> None:
    names = {disk.fresh_name() for _ in range(1000)}
    assert len(names) == 1000
    assert {len(name) for name in names} == {16}


def test_where_every_name_is_taken_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f".tmp-{'00' * 8}-x").symlink_to("nowhere")
    monkeypatch.setattr(disk.os, "urandom", bytes)
    with pytest.raises(FileExistsError, match="none of 100 new names was free"):
        disk.write(tmp_path / "x", b"")


def test_a_file_is_never_written_in_place_through_a_link(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "link").symlink_to(victim)
    with pytest.raises(FileExistsError):
        disk.write_here(tmp_path / "link", b"x")
    disk.write(tmp_path / "link", b"x")  # replaces the link itself
    assert victim.read_bytes() == b"mine"


WRITER = """
import sys
from pathlib import Path
from checkerscope.experiments.store import disk
temporary, descriptor = disk._temporary(Path(sys.argv[1]))
print(temporary, flush=True)
sys.stdin.read()
"""


def test_what_another_process_writes_is_left_alone_whatever_its_name_says(tmp_path: Path) -> None:
    """As in two containers with one host name, where a process of one has no number in the other."""
    words = [sys.executable, "-c", WRITER, str(tmp_path / "x")]
    writer = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert writer.stdout
    temporary = Path(writer.stdout.readline().strip())
    disk.write(tmp_path / "x", b"ours")
    assert temporary.exists()
    assert disk.is_written(temporary)
    writer.kill()
    writer.communicate()
    assert not disk.is_written(temporary)
    disk.write(tmp_path / "x", b"ours")
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


@pytest.mark.skipif(
    not shutil.which("unshare") or bool(subprocess.run(["unshare", "--pid", "--fork", "true"]).returncode),
    reason="no PID namespaces here",
)
def test_a_writer_in_another_pid_namespace_keeps_its_file(tmp_path: Path) -> None:
    words = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", WRITER, str(tmp_path / "x")]
    writer = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert writer.stdout
    temporary = Path(writer.stdout.readline().strip())
    disk.write(tmp_path / "x", b"ours")
    assert temporary.exists()
    writer.communicate()


def test_a_file_that_was_taken_for_an_orphan_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process comes between the making of a temporary file and its lock."""
    flock, removed = disk.fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not removed:
            removed.extend(tmp_path.glob(".tmp-*"))
            removed[0].unlink()
        flock(descriptor, how)

    monkeypatch.setattr(disk.fcntl, "flock", late)
    disk.write(tmp_path / "x", b"whole")
    assert (tmp_path / "x").read_bytes() == b"whole"


def test_a_file_system_without_locks_keeps_its_orphans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".tmp-0123456789abcdef-x").touch()

    def none(descriptor: int, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(disk.fcntl, "flock", none)
    disk.write(tmp_path / "x", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tmp-0123456789abcdef-x", "x"]


# links inside a store


def place(study: Path, name: str, target: Path) -> Path:
    """Put a link to a folder with files in it where the store has a folder or a file."""
    target.mkdir()
    for each in ("0000000001.x.safetensors", "run.json", "tone.json", "values.csv", "manifest.json"):
        (target / each).write_bytes(b"theirs")
    path = study / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target if path.suffix == "" else target / "run.json")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


LINKS = (
    "runs", "work", "measures", "records", "lock",
    "runs/{run}", "runs/{run}/run.json", "runs/{run}/environment.json", "runs/{run}/step-0000008.safetensors",
    "work/{run}", "measures/{run}", "measures/{run}/tone.json", "measures/{run}/radial_spectrum.npz",
    "records/values.csv", "records/manifest.json", "paper.json", "index.json",
)  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
def test_no_link_leads_out_of_a_store(
    name: str, results: Path, tiny: Path, checkerscope: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, target = results / "tiny", tmp_path / "theirs"
    run = Store(results, "tiny").runs()[0]
    if name.startswith("work/"):  # so that there is something to do for this run
        shutil.rmtree(study / "runs" / run)
    link = place(study, name.format(run=run), target)
    before = contents(target)
    assert any(str(link) in line for line in verify.verify_folder(study)[1])
    codes = [checkerscope(command, tiny, *more) for command, *more in (["run"], ["measure"], ["collect"], ["status"])]
    assert contents(target) == before
    assert set(codes) <= {0, 1, 2, 3}, capsys.readouterr().err
    if link.is_symlink() and name.startswith(("runs", "work", "measures")):
        assert str(link) in capsys.readouterr().err


def test_a_checkpoint_deletes_nothing_behind_a_link(results: Path, tmp_path: Path) -> None:
    store = Store(results, "tiny")
    place(store.root, "work/0123456789ab", tmp_path / "theirs")
    with pytest.raises(StoreError, match="work/0123456789ab: a link, and the store follows none; delete it"):
        store.save_checkpoint("0123456789ab", 5, b"new")
    assert contents(tmp_path / "theirs")["0000000001.x.safetensors"] == b"theirs"


def test_the_lock_is_not_made_through_a_link(results: Path, tmp_path: Path) -> None:
    store = Store(results, "tiny")
    (store.root / "lock").unlink(missing_ok=True)
    (store.root / "lock").symlink_to(tmp_path / "new")
    with pytest.raises(StoreError, match="lock: expected a file, got a link"), store.lock("0123456789ab"):
        pass
    assert not (tmp_path / "new").exists()
