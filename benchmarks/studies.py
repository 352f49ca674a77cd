"""What the studies of the README take, each from an empty folder to its PDF.

    python benchmarks/studies.py --output benchmarks/studies.json quick init_only unet catalogue probe

Processor seconds of the command and its one worker; bytes and files per run of what it leaves. Results and report lie
in a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent


def study(name: str) -> dict[str, Any]:
    """Run one study and return what it took and left."""
    with tempfile.TemporaryDirectory() as folder:
        results, before = Path(folder) / "results", os.times()
        command = [sys.executable, "-m", "checkerscope", "study", f"configs/{name}.toml", "--workers", "1"]
        ended = subprocess.run(
            [*command, "--results", str(results), "--output", f"{folder}/{name}.pdf"], cwd=PROJECT, check=False
        )
        after = os.times()
        files = [path for kind in ("runs", "measures") for path in (results / name / kind).rglob("*") if path.is_file()]
        runs = len(list((results / name / "runs").glob("*/run.json")))
        return {
            "exit_code": ended.returncode,
            "runs": runs,
            "processor_seconds": round(
                after.children_user + after.children_system - before.children_user - before.children_system, 1
            ),
            "seconds": round(after.elapsed - before.elapsed, 1),
            "bytes_per_run": round(sum(path.stat().st_size for path in files) / max(1, runs)),
            "files_per_run": round(len(files) / max(1, runs), 1),
        }


def main() -> int:
    from benchmarks.harness import output

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("studies", nargs="+", metavar="NAME", help="of configs/NAME.toml")
    output.add_option(parser)
    options, began = parser.parse_args(), time.monotonic()
    found: dict[str, Any] = {}
    for name in options.studies:
        found[name] = study(name)
        results = {**output.cost(began), "studies": found}
        output.save(results, options.output, "studies")  # a study that fails loses none of those before it
    output.finish(results, options.output, "studies")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))
    sys.exit(main())
