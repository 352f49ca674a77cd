"""Let the disk refuse at every call that changes it, once or from then on, and start again when it works.

Under a refusal the store may stop with an error, never with a file half written under its final name, and it must not
touch what was finished. When the disk works again, a second start must end as if nothing had happened. Prints JSON.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store import disk
from checkerscope.experiments.store.manifest import unsealed
from checkerscope.experiments.store.runs import Store
from tests.experiments.store.kill_points import finished, scenario, tree

#: Calls inside `experiments.store.disk` that a full or broken disk may refuse.
CALLS = ("open", "write", "fsync", "mkdir", "rename")


class Refusing:
    """Stands for `os` inside `experiments.store.disk`: the N-th call fails, or every one from the N-th on."""

    def __init__(self, number: int, at: int, *, for_good: bool) -> None:
        self.number, self.at, self.for_good, self.count = number, at, for_good, 0

    def __getattr__(self, name: str) -> Any:
        return self._refused(name) if name in CALLS else getattr(os, name)

    def _refused(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self.at or (self.for_good and self.count > self.at):
                if name == "write":  # some of it gets through
                    os.write(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                raise OSError(self.number, os.strerror(self.number))
            return getattr(os, name)(*arguments, **options)

        return call


def try_refusal(root: Path, refusing: Refusing, expected: dict[str, bytes]) -> str | None:
    """Return what is wrong after a refusal and a second start, "" for nothing, None if nothing was refused."""
    disk.os = refusing
    try:
        scenario(root)
        if refusing.count < refusing.at:
            return None
    except (OSError, StoreError, ValueError) as error:
        if os.strerror(refusing.number) not in str(error):
            return f"the error does not say what happened: {error}"
    finally:
        disk.os = os
    before = finished(root)
    if bad := half_written(root):
        return f"{bad} is half written"
    scenario(root)
    if {run: finished(root)[run] for run in before} != before:
        return "a finished run was written again"
    now = tree(root)
    differing = sorted(k for k in now.keys() | expected.keys() if now.get(k) != expected.get(k))
    return f"differs in {differing}" if differing else ""


def half_written(root: Path) -> str:
    results = Store(root, "study")
    for run in results.runs():
        if results.problems(run):
            return results.problems(run)[0]
    sealed = [path for path in root.rglob("*.json") if path.name[0] != "." and path.name != "spec.json"]
    for path in (path for path in sealed if "work" not in path.parts):
        unsealed(path)
    values = results.root / "records" / "values.csv"
    return str(values) if values.exists() and values.read_bytes() != b"run,value\n" else ""


def main() -> None:
    refusals, wrong = 0, {}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        root = Path(name) / "root"
        scenario(Path(name) / "whole")
        expected = tree(Path(name) / "whole")
        for number in (errno.ENOSPC, errno.EIO):
            for for_good in (False, True):
                at = 0
                said: str | None = ""
                while said is not None:
                    at += 1
                    root.mkdir()
                    said = try_refusal(root, Refusing(number, at, for_good=for_good), expected)
                    shutil.rmtree(root)
                    if said:
                        wrong[f"{errno.errorcode[number]} {'from' if for_good else 'at'} {at}"] = said
                refusals += at - 1
    print(json.dumps({"refusals": refusals, "wrong": wrong}))


if __name__ == "__main__":
    main(*sys.argv[1:])
