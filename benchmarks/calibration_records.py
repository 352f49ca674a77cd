"""Write the records of the grid test's calibration, from benchmarks/calibration.json to paper/data/calibration.

python benchmarks/calibration_records.py [--output FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="Another folder than paper/data/calibration.")
    arguments = parser.parse_args()
    from benchmarks.pages.calibration import records
    from checkerscope.experiments.reporting.publish import publish

    print(publish(records(), folder=arguments.output))
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
