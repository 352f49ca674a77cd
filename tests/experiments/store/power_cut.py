"""Cut the power after every operation on the disk, in every way that POSIX allows, and start again.

A disk forgets what was not synced: names that were made, moved or removed since their folder was synced may be there or
not, each for itself; bytes that were written since their file was synced may be there, missing, torn or zero. What the
store did is recorded, every state that a cut may leave is made from the record, and in each of them (1) what the store
had called safe must be there, (2) a second start must end as if nothing had happened. Prints how many cuts there were,
how many different states they left, and what was wrong, as JSON. With "files" or "folders", the disk ignores every sync
of those: then something must be wrong.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checkerscope.experiments.store import disk
from checkerscope.experiments.store.runs import Store
from tests.experiments.store.kill_points import scenario, tree

#: Up to so many operations that a cut may undo, every subset of them is tried; of more, the telling ones.
EVERY_SUBSET = 6
#: On a disk that ignores syncs, only so many states are tried: what is wrong shows itself in many.
SPARSE = 7


@dataclass(eq=False)
class Node:
    """A file or folder: what is in it now, and what would be in it after a power cut."""

    now: Any
    safe: Any


@dataclass(frozen=True)
class Cut:
    """What a power cut left, path to bytes (None for a folder), and what had been promised before it."""

    content: dict[str, bytes | None]
    promises: dict[str, bytes]


#: One operation on names, atomic: (folder, name, what the name means from then on, None for nothing).
Change = tuple[Node, str, Node | None]


@dataclass
class Machine:
    """A disk with a memory of what is safe."""

    root: Node = field(default_factory=lambda: Node({}, {}))
    pending: list[tuple[Change, ...]] = field(default_factory=list)
    files: list[Node] = field(default_factory=list)
    promises: dict[str, bytes] = field(default_factory=dict)

    def find(self, path: str) -> Node:
        node = self.root
        for part in Path(path).parts:
            node = node.now[part]
        return node

    def _entry(self, path: str) -> tuple[Node, str]:
        return self.find(os.path.dirname(path)), os.path.basename(path)

    def change(self, *changes: tuple[str, Node | None]) -> None:
        resolved = tuple((*self._entry(path), node) for path, node in changes)
        for folder, name, node in resolved:
            folder.now.pop(name, None) if node is None else folder.now.__setitem__(name, node)
        self.pending.append(resolved)

    def create(self, path: str) -> None:
        folder, name = self._entry(path)
        if name in folder.now:
            folder.now[name].now = b""
        else:
            self.files.append(node := Node(b"", b""))
            self.change((path, node))

    def sync_folder(self, path: str) -> None:
        folder = self.find(path)
        kept = []
        for operation in self.pending:
            if any(at is folder for at, _, _ in operation):
                apply(operation, lambda node: node.safe)
            else:
                kept.append(operation)
        self.pending = kept

    def cuts(self) -> Iterator[dict[str, bytes | None]]:
        """Yield every content of the disk after a cut now: path to bytes, None for a folder."""
        torn = [node for node in self.files if node.now != node.safe]
        for chosen in subsets(len(self.pending)):
            names: dict[Node, dict[str, Node]] = {}
            for index in chosen:
                apply(self.pending[index], lambda node: names.setdefault(node, dict(node.safe)))  # noqa: B023
            for content in (lost, whole, half, zeros) if torn else (whole,):
                yield dict(walk(self.root, "", names, content))


def apply(operation: tuple[Change, ...], names: Callable[[Node], dict[str, Node]]) -> None:
    for folder, name, node in operation:
        if node is None:
            names(folder).pop(name, None)
        else:
            names(folder)[name] = node


def subsets(count: int) -> Iterator[tuple[int, ...]]:
    everything = tuple(range(count))
    if count <= EVERY_SUBSET:
        for size in range(count + 1):
            yield from itertools.combinations(everything, size)
        return
    for index in everything:
        yield everything[:index]
        yield (index,)
        yield tuple(other for other in everything if other != index)
    yield everything


def lost(node: Node) -> bytes:
    return node.safe


def whole(node: Node) -> bytes:
    return node.now


def half(node: Node) -> bytes:
    return node.now[: len(node.now) // 2]


def zeros(node: Node) -> bytes:
    return bytes(len(node.now))


def walk(
    folder: Node, at: str, names: dict[Node, dict[str, Node]], content: Callable[[Node], bytes]
) -> Iterator[tuple[str, bytes | None]]:
    for name, node in names.get(folder, folder.safe).items():
        if isinstance(node.now, dict):
            yield f"{at}{name}", None
            yield from walk(node, f"{at}{name}/", names, content)
        else:
            yield f"{at}{name}", content(node) if node.now != node.safe else node.safe


class Recorder:
    """Stands for `os` and `shutil` inside `experiments.store.disk`: does what it is told, and tells the machine."""

    def __init__(self, root: Path, machine: Machine, after: Callable[[], None], deaf_to: str) -> None:
        self.root, self.machine, self.after, self.deaf_to = root, machine, after, deaf_to
        self.paths: dict[int, str] = {}
        self.drawn = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def urandom(self, count: int) -> bytes:  # the same names each time, so that equal states are seen to be equal
        self.drawn += 1
        return (self.drawn % 2).to_bytes(count, "big")

    def _short(self, path: Any) -> str:
        short = os.path.relpath(path, self.root)
        return "" if short == "." else short

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        descriptor = os.open(path, flags, mode)
        self.paths[descriptor] = self._short(path)
        if flags & os.O_CREAT:
            self.machine.create(self._short(path))
            self.after()
        return descriptor

    def write(self, descriptor: int, data: Any) -> int:
        count = os.write(descriptor, data)
        self.machine.find(self.paths[descriptor]).now += bytes(data[:count])
        self.after()
        return count

    def fsync(self, descriptor: int) -> None:
        os.fsync(descriptor)
        node = self.machine.find(self.paths[descriptor])
        is_folder = isinstance(node.now, dict)
        if is_folder and self.deaf_to != "folders":
            self.machine.sync_folder(self.paths[descriptor])
        elif not is_folder and self.deaf_to != "files":
            node.safe = node.now
        self.after()

    def mkdir(self, path: Any) -> None:
        os.mkdir(path)
        self.machine.change((self._short(path), Node({}, {})))
        self.after()

    def rename(self, old: Any, new: Any) -> None:
        os.rename(old, new)
        node = self.machine.find(self._short(old))
        self.machine.change((self._short(old), None), (self._short(new), node))
        self.after()

    def unlink(self, path: Any) -> None:
        os.unlink(path)
        self.machine.change((self._short(path), None))
        self.after()

    def rmtree(self, path: Any, ignore_errors: bool = False) -> None:
        for name in sorted(os.listdir(path)):
            (self.rmtree if os.path.isdir(os.path.join(path, name)) else self.unlink)(os.path.join(path, name))
        os.rmdir(path)
        self.machine.change((self._short(path), None))
        self.after()


def promising(machine: Machine, root: Path, method: Callable[..., Any], folder: str) -> Callable[..., Any]:
    """Return a method of the store that, when it returns, has promised all files of `folder/<run>`."""

    def called(self: Store, run: str, *arguments: Any) -> None:
        machine.promises = {p: d for p, d in machine.promises.items() if not p.startswith(f"study/{folder}/{run}/")}
        method(self, run, *arguments)
        found = tree(root / "study" / folder / run).items()
        machine.promises = machine.promises | {f"study/{folder}/{run}/{name}": data for name, data in found}

    return called


def make(root: Path, content: dict[str, bytes | None]) -> None:
    """Write a disk's content; nobody holds the locks of what a process had begun."""
    for name, data in content.items():
        path = root / name
        path.mkdir(parents=True) if data is None else path.write_bytes(data)


def try_cut(root: Path, cut: Cut, expected: dict[str, bytes]) -> str:
    """Return what is wrong when a process starts on what a power cut left, "" for nothing."""
    broken = [name for name, data in cut.promises.items() if cut.content.get(name) != data]
    if broken:
        return f"{broken[0]} was promised and is lost"
    root.mkdir()
    try:
        make(root, cut.content)
        scenario(root)
        now = tree(root)
    except Exception as error:
        return f"the second start failed: {error!r}"
    finally:
        shutil.rmtree(root)
    differing = sorted(k for k in now.keys() | expected.keys() if now.get(k) != expected.get(k))
    return f"differs in {differing}" if differing else ""


def record(root: Path, deaf_to: str) -> tuple[int, list[Cut]]:
    """Do the scenario once and return how many cuts there were, and the different ones."""
    machine = Machine()
    cuts: dict[str, Cut] = {}
    count = 0

    def after() -> None:
        nonlocal count
        for content in machine.cuts():
            count += 1
            cuts.setdefault(repr((sorted(content.items()), sorted(machine.promises))), Cut(content, machine.promises))

    root.mkdir()
    commit, save_measure = Store.commit, Store.save_measure
    disk.os = disk.shutil = Recorder(root, machine, after, deaf_to)
    Store.commit = promising(machine, root, Store.commit, "runs")
    Store.save_measure = promising(machine, root, Store.save_measure, "measures")
    scenario(root)
    disk.os, disk.shutil, Store.commit, Store.save_measure = os, shutil, commit, save_measure
    return count, list(cuts.values())


def main(flaw: str = "") -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        folder = Path(name)
        scenario(folder / "reference")
        expected = tree(folder / "reference")
        count, cuts = record(folder / "recorded", flaw)
        tried = cuts[::SPARSE] if flaw else cuts
        wrong = [said for cut in tried if (said := try_cut(folder / "cut", cut, expected))]
    print(json.dumps({"cuts": count, "states": len(cuts), "wrong": len(wrong), "first": wrong[:3]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
