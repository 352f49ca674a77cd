"""What may happen to a process or a disk while the store writes: the programs beside this file try all of it.

The counts are lower bounds of what is tried, not of what the store does: where the storage code becomes shorter, they
may be lowered; they catch a drill that has stopped trying.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def drill(name: str, flaw: str = "") -> dict[str, Any]:
    """Return the report of a drill, in a process without torch and pytest, whose forks are cheap."""
    program = [sys.executable, "-m", f"tests.experiments.store.{name}", *([flaw] if flaw else [])]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_kill_9_at_every_line_of_the_storage_code() -> None:
    report = drill("kill_points")
    assert report["wrong"] == {}
    assert report["points"] > 800
    assert report["states"] > 60


@pytest.mark.parametrize("flaw", ["no rename", "no memory"])
def test_the_kills_find_a_store_that_is_flawed(flaw: str) -> None:
    report = drill("kill_points", flaw)
    assert report["wrong"]
    assert report["points"] > 20


def test_a_power_cut_after_every_operation() -> None:
    report = drill("power_cut")
    assert report["wrong"] == 0, report["first"]
    assert report["cuts"] > 2000
    assert report["states"] > 400


@pytest.mark.parametrize("deaf_to", ["files", "folders"])
def test_the_power_cuts_find_a_sync_that_is_missing(deaf_to: str) -> None:
    report = drill("power_cut", deaf_to)
    assert report["wrong"] > 50
    assert any("promised and is lost" in line or "differs" in line for line in report["first"])


def test_a_full_or_broken_disk_at_every_call() -> None:
    report = drill("broken_disk")
    assert report["wrong"] == {}
    assert report["refusals"] > 500
