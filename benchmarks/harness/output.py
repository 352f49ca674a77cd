"""Where a benchmark's results go: to the screen, and to the file or folder that was asked for. Never elsewhere."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any


def add_option(parser: argparse.ArgumentParser) -> None:
    """Give a benchmark the option `--output`."""
    said = "File that ends in .json, or folder for a file of the benchmark's name. Without it, results are printed."
    parser.add_argument("--output", type=Path, metavar="PLACE", help=said)


def file_in(place: Path | None, name: str) -> Path | None:
    """Return the file that `--output` means for a benchmark.

    >>> file_in(Path("elsewhere"), "cpu"), file_in(Path("mine.json"), "cpu"), file_in(None, "cpu")
    (PosixPath('elsewhere/cpu.json'), PosixPath('mine.json'), None)
    """
    return place if place is None or place.suffix == ".json" else place / f"{name}.json"


def save(results: dict[str, Any], place: Path | None, name: str, device: str = "cpu") -> bytes:
    """Return results as JSON with the machine, the versions and the load; also write it, if a place was asked for.

    Args:
        results: With the command that made them.
        place: As `--output` gives it.
        name: Of the benchmark.
        device: Which device to describe.
    """
    from checkerscope.experiments.store import disk
    from checkerscope.experiments.store.seals import to_json
    from checkerscope.experiments.study import provenance

    machine = provenance.environment(device)
    machine.pop("host")  # nobody's business
    where = {"environment": machine, "load": os.getloadavg()}
    document, path = to_json({**results, **where}), file_in(place, name)
    if path is not None:
        disk.write(path, document)
    return document


def finish(results: dict[str, Any], place: Path | None, name: str, device: str = "cpu") -> None:
    """Save results, and print them where no place was asked for."""
    document = save(results, place, name, device)
    if place is None:
        sys.stdout.write(document.decode())
    else:
        say(f"wrote {file_in(place, name)}")


def cost(began: float) -> dict[str, Any]:
    """Return the command, its seconds and processor seconds, with those of the processes that it waited for.

    Args:
        began: `time.monotonic()` at its start.
    """
    times = os.times()
    script = Path(sys.argv[0])
    return {
        "command": f"python {script.parent.name}/{script.name} {' '.join(sys.argv[1:])}".strip(),
        "seconds": round(time.monotonic() - began, 1),
        "processor seconds": round(times.user + times.system + times.children_user + times.children_system, 1),
    }


def say(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)
