"""How the cost of a training step grows with the image's side, the channels and the scale.

    python benchmarks/growth.py [--output PLACE]

One factor at a time around the quick study's network (64 x 64, width 16, scale 2, batch 16). Processor seconds of one
thread, medians of interleaved rounds; operations as torch counts them. What grows with the number of runs is in
benchmarks/overhead.py. No number here is a test.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BASE = {"size": 64, "width": 16, "scale": 2}
FACTORS = {"size": (32, 64, 128), "width": (8, 16, 32), "scale": (2, 4)}
KEYS = {"size": "images__size", "width": "network__width", "scale": "scale"}
ARMS = ("nearest_conv", "transposed_conv_k4")


def row(arm: str, factor: str, value: int, steps: int, rounds: int) -> dict[str, Any]:
    """Return the cost of one step of one network."""
    from benchmarks.harness.sides import operations, spec, stepper
    from benchmarks.harness.timing import gemm, interleaved, worked
    from checkerscope.analysis.cost import step_memory_mb
    from checkerscope.experiments.study import build

    changes = {KEYS[key]: asked for key, asked in {**BASE, factor: value}.items()}
    run = spec(arm, steps, **{**changes, "network__latent_channels": changes["network__width"]})
    train = stepper(run)
    multiply, products = gemm()
    train()
    taken = interleaved({"gemm": worked(multiply), "train": worked(train)}, rounds)
    seconds, needed = taken["train"] / steps, operations(run)
    images = build.data(run, "train")
    return {
        "arm": arm,
        "factor": factor,
        "value": value,
        "step_ms": 1e3 * seconds,
        "mflop_per_step": needed / 1e6,
        "gemm_fraction": needed / seconds * taken["gemm"] / products,
        "step_memory_mb": step_memory_mb(build.model(run, images), images.inputs[:16]),
    }


def main() -> int:
    from benchmarks.harness import output

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8, help="Training steps per round.")
    parser.add_argument("--rounds", type=int, default=3)
    output.add_option(parser)
    arguments = parser.parse_args()

    rows = []
    for arm in ARMS:
        for factor, values in FACTORS.items():
            for value in values:
                rows.append(row(arm, factor, value, arguments.steps, arguments.rounds))
                output.say(str(rows[-1]))
    command = f"python benchmarks/growth.py --steps {arguments.steps} --rounds {arguments.rounds}"
    output.finish({"command": command, "base": BASE, "rows": rows}, arguments.output, "growth")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
