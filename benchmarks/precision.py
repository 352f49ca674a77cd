"""What bfloat16 (autocast; weights, loss and Adam in float32) does to the measures of a run.

    python benchmarks/precision.py [--output PLACE]

The same runs in float32 and in bfloat16: two arms of the quick study, seeds 0 to 2, fewer steps. The models are then
measured in float32, as the study does. Differences are paired by seed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ARMS = ("nearest_conv", "transposed_conv_k4")
SEEDS = range(3)
#: Keys of the measures that are compared.
MEASURES = ("tone", "checkerboard_energy", "reconstruction", "radial_spectrum")
IMAGES, MARGIN = 32, 16


def trained(arm: str, precision: str, seed: int, steps: int) -> dict[str, float]:
    """Return every scalar that the measures say of one trained model."""
    import torch

    from benchmarks.harness.sides import spec
    from checkerscope.experiments.execution import evaluate, fit
    from checkerscope.experiments.study import build
    from checkerscope.toolkit import catalog
    from checkerscope.toolkit.training import loop

    torch.set_num_threads(1)
    run = spec(arm, steps, seed, train__precision=precision)
    data = build.data(run, "train")
    network = build.model(run, data)
    outcome = loop.train(network, data.inputs, fit.recipe(run), seed=seed)
    found = {"training loss, last 10 steps": float(outcome.losses[-10:].mean())}
    with evaluate.trial(run, network, build.data(run, "test").first(IMAGES), margin=MARGIN) as trial:
        for name in MEASURES:
            values = catalog.load("checkerscope.analysis.measures", name).measure(trial)
            found |= {key: float(value) for key, value in values.items() if getattr(value, "ndim", 0) == 0}
    return found


def compare(arm: str, steps: int) -> list[dict[str, Any]]:
    """Return one row per number, with the paired differences."""
    from benchmarks.harness.output import say

    pairs = []
    for seed in SEEDS:
        pairs.append([trained(arm, precision, seed, steps) for precision in ("float32", "bfloat16")])
        say(f"{arm}, seed {seed}: losses {pairs[-1][0]['training loss, last 10 steps']:.4f} and"
            f" {pairs[-1][1]['training loss, last 10 steps']:.4f}")  # fmt: skip
    rows = []
    for key in pairs[0][0]:
        full, half = ([pair[side][key] for pair in pairs] for side in (0, 1))
        differences = [b - a for a, b in zip(full, half, strict=True)]
        row = {"arm": arm, "measure": key, "float32": statistics.mean(full), "bfloat16": statistics.mean(half)}
        row |= {"seeds_apart": max(full) - min(full), "difference": statistics.mean(differences)}
        rows.append(row | {"least": min(differences), "greatest": max(differences)})
    return rows


def main() -> int:
    from benchmarks.harness import output

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="Training steps per run.")
    output.add_option(parser)
    arguments = parser.parse_args()

    rows = [row for arm in ARMS for row in compare(arm, arguments.steps)]
    command = f"python benchmarks/precision.py --steps {arguments.steps}"
    seeds = f"{SEEDS[0]} to {SEEDS[-1]}"
    results = {"command": command, "steps": arguments.steps, "seeds": seeds, "rows": rows}
    output.finish(results, arguments.output, "precision")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
