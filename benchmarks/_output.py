"""How a benchmark's output is written: command, versions, machine and time beside the numbers."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def save(found: dict[str, Any], began: float, output: Path | None) -> None:
    """Print an output, and write it to a file if there is one."""
    from checkerscope.experiments.study import provenance

    times = os.times()
    where = provenance.environment("cpu")
    environment = {
        key: where[key] for key in ("time", "python", "packages", "machine", "cores", "processor", "threads")
    }
    whole = {
        "command": f"python {Path(sys.argv[0]).parent.name}/{Path(sys.argv[0]).name} {' '.join(sys.argv[1:])}".strip(),
        "seconds": round(time.monotonic() - began, 1),
        "processor seconds": round(times.user + times.system + times.children_user + times.children_system, 1),
        "load": [round(load, 1) for load in os.getloadavg()],
        **found,
        "environment": environment,
    }
    text = json.dumps(whole, indent=1, ensure_ascii=True) + "\n"
    print(text, end="")
    if output is not None:
        output.write_text(text, encoding="utf-8")
