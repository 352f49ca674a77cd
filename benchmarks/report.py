"""Write docs/performance.md and its figure from the committed outputs of the benchmarks.

python benchmarks/report.py [--results FOLDER] [--docs FOLDER]
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the outputs that are there, by name."""
    from benchmarks.pages.performance import SECTIONS

    paths = {name: folder / f"{name}.json" for name, _ in SECTIONS}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.is_file()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks", help="Folder of the outputs.")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="Folder of the page.")
    arguments = parser.parse_args()
    from benchmarks.pages import growth_figure, performance
    from checkerscope.experiments.store import disk

    found = load(arguments.results)
    if "growth" in found:
        data = io.BytesIO()
        growth_figure.figure(found).savefig(data, format="png", dpi=200, metadata={"Software": None})
        disk.write(arguments.docs / "figures" / "growth.png", data.getvalue())
    disk.write(arguments.docs / "performance.md", performance.page(found).encode())
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
