"""Write docs/scale.md from benchmarks/scale.md and the committed outputs.

python benchmarks/scale_report.py [--docs FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="Folder of the page.")
    arguments = parser.parse_args()
    from benchmarks.pages import scale
    from checkerscope.experiments.store import disk

    disk.write(arguments.docs / "scale.md", scale.page().encode())
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
