"""The CPU benchmark: study throughput, the distance from the machine's limit, the speed of spectra and commands.

    make bench                     prints the table and writes nothing
    make bench OUTPUT=elsewhere    writes elsewhere/cpu.json; `python benchmarks/report.py` makes the page

Every ratio is taken in one run, A B A B, from medians. Both sides of the study ratio train the same models (the arms of
configs/quick.toml that a plain script can write, the same steps, images and batch size) in warm processes:
A is benchmarks/plain_script.py with torch's default threads, one model after the other; B is this project's workers,
one thread each. What runs in one thread is timed in processor seconds. No number here is a test.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def study(steps: int) -> dict[str, Any]:
    """Return models per minute of both sides, for the grid and for nearest + conv, and what the ratio is made of."""
    from benchmarks.harness.output import say
    from benchmarks.harness.sides import ARMS, Ours, Plain
    from benchmarks.harness.timing import interleaved
    from checkerscope.experiments.workers.local import default_workers, local

    workers = default_workers()
    plain, single, pool, lone = Plain(), Plain("1"), local(workers, "cpu"), local(1, "cpu")
    ours, alone = Ours(pool), Ours(lone)
    grid = list(ARMS) * (2 if len(ARMS) % workers else 1)  # so that no worker idles at the end
    for side in (plain, single, ours, alone):
        side.train(list(ARMS)[:workers], steps)  # warm: imports, images, allocator
    found = {}
    for name, arms in (("study", grid), ("nearest", ["nearest_conv"] * 2 * workers)):
        seconds = interleaved({"plain": partial(plain.train, arms, steps), "ours": partial(ours.train, arms, steps)})
        found[name] = {side: 60 * len(arms) / taken for side, taken in seconds.items()}
        say(f"{name}, models per minute: {found[name]}")
    sides: dict[str, Plain | Ours] = {
        "plain": plain,
        "plain, one thread": single,
        "ours": ours,
        "ours, one worker": alone,
    }
    parts = interleaved({name: partial(side.train, grid, steps // 2) for name, side in sides.items()})
    plain.close()
    single.close()
    pool.shutdown()
    lone.shutdown()
    return {
        "steps": steps,
        "workers": workers,
        "models_per_minute": found,
        "study_ratio": found["study"]["ours"] / found["study"]["plain"],
        "nearest_ratio": found["nearest"]["ours"] / found["nearest"]["plain"],
        "one_thread_ratio": parts["plain, one thread"] / parts["ours, one worker"],
        "plain_thread_speedup": parts["plain, one thread"] / parts["plain"],
        "worker_speedup": parts["ours, one worker"] / parts["ours"],
        "peak_memory_mb": ours.peak_memory_mb,
    }


def distance_from_the_limit(steps: int) -> dict[str, Any]:
    """Return how much of one thread's float32 GEMM peak every arm's training reaches, and where its time goes."""
    from benchmarks.harness.roofline import family, label, work
    from benchmarks.harness.sides import ARMS, operations, spec, stepper
    from benchmarks.harness.timing import copy, gemm, interleaved, worked

    found: dict[str, Any] = {"gemm_fraction": {}, "step_ms": {}, "profile": {}, "kernels": {}}
    peaks, copies = [], []
    for arm in ARMS:
        run = spec(arm, steps)
        train, one = stepper(run), stepper(spec(arm, 1))
        (multiply, products), (move, moved) = gemm(), copy()
        train()
        taken = interleaved({"gemm": worked(multiply), "copy": worked(move), "train": worked(train)}, 5)
        peaks.append(products / taken["gemm"])
        copies.append(moved / taken["copy"])
        found["step_ms"][arm] = 1e3 * taken["train"] / steps
        found["gemm_fraction"][arm] = operations(run) * steps / taken["train"] / peaks[-1]
        needed, events = work(one, {"flops": peaks[-1], "bytes": copies[-1]}), profile(train)
        ms: dict[str, float] = defaultdict(float)
        shares: dict[str, float] = defaultdict(float)
        for operator, shapes, part in events:
            ms[label(operator, shapes)] += part / steps
            shares[family(operator)] += part / sum(event[-1] for event in events)
        found["kernels"][arm] = {name: {**entry, "ms": ms[name]} for name, entry in needed.items()}
        found["profile"][arm] = dict(sorted(shares.items(), key=lambda share: -share[1]))
    ceilings = {
        "gemm_peak_gflops": statistics.median(peaks) / 1e9,
        "copy_gb_per_second": statistics.median(copies) / 1e9,
    }
    return {**ceilings, **found}


def profile(train: Callable[[], None]) -> list[tuple[str, list[Any], float]]:
    """Return operators, shapes of what goes in and milliseconds, as torch's profiler sees them."""
    import torch.profiler

    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True, record_shapes=True
    ) as seen:
        train()
    events = seen.key_averages(group_by_input_shape=True)
    return [(event.key, event.input_shapes, event.self_cpu_time_total / 1e3) for event in events]


def spectra(count: int = 10_000) -> dict[str, Any]:
    """Return how much faster the batched radial spectrum is than a tidy loop, and than the field's per-image loop."""
    import torch

    from benchmarks.harness.spectra_loops import azimuthal, tidy
    from benchmarks.harness.timing import interleaved, worked
    from checkerscope.analysis.measures.radial_spectrum import radial_spectrum

    torch.set_num_threads(1)
    images = torch.rand(count, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    few = images[: count // 10, 0].numpy()
    radial_spectrum(images[:100])
    taken = interleaved(
        {
            "ours": worked(lambda: radial_spectrum(images)),
            "numpy": worked(lambda: tidy(few)),
            "loop": worked(lambda: azimuthal(few)),
        }
    )
    scale = count / len(few)
    return {
        "spectra_images": count,
        "spectra_seconds": taken["ours"],
        "spectra_ratio_numpy": taken["numpy"] * scale / taken["ours"],
        "spectra_ratio_loop": taken["loop"] * scale / taken["ours"],
    }


def measuring(steps: int) -> dict[str, Any]:
    """Return the seconds that the quick study's measures take per run, and their share of its training."""
    from benchmarks.harness.sides import stepper
    from benchmarks.harness.timing import interleaved, worked
    from checkerscope.experiments.execution import evaluate
    from checkerscope.experiments.study import build, config
    from checkerscope.experiments.study.grid import Grid
    from checkerscope.toolkit import catalog

    path = ROOT / "configs" / "quick.toml"
    asked = config.read(path)
    run = next(iter(Grid(asked, str(path)))).spec
    held_out = build.data(run, "test").first(asked.measure.images)
    network = build.model(run, held_out)
    train = stepper(run.model_copy(update={"train": run.train.model_copy(update={"steps": steps})}))

    def measure() -> None:
        with evaluate.trial(run, network, held_out, margin=asked.measure.margin) as trial:
            for name in asked.measure.measures:
                catalog.load("checkerscope.analysis.measures", name).measure(trial)

    measure()
    train()
    seconds = interleaved({"measure": worked(measure), "train": worked(train)})
    measured = len(run.saved_steps) * seconds["measure"]
    training = seconds["train"] * run.train.steps / steps
    return {"measure_seconds_per_run": measured, "measure_share_of_training": measured / training}


def commands() -> dict[str, float]:
    """Return the seconds of the commands that must answer at once, medians of five, and of a warm paper."""
    python = [sys.executable, "-m", "checkerscope"]
    with tempfile.TemporaryDirectory() as folder:
        paper = ["paper", "configs/quick.toml", "--results", folder, "--output", f"{folder}/paper.pdf"]
        asked = {
            "help": (["--help"], 5),
            "list": (["list", "upsamplers", "--json"], 5),
            "dry_run": (["run", "configs/paper.toml", "--dry-run"], 5),
            "first_paper": (paper, 1),
            "warm_paper": (paper, 3),
        }
        taken = {}
        for name, (words, times) in asked.items():
            seconds = []
            for _ in range(times):
                began = time.perf_counter()
                subprocess.run([*python, *words], cwd=ROOT, check=True, capture_output=True)
                seconds.append(time.perf_counter() - began)
            taken[f"{name}_seconds"] = statistics.median(seconds)
    return taken


def main() -> int:
    from benchmarks.harness import output
    from benchmarks.pages import cpu as page

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50, help="Training steps per model.")
    parser.add_argument("--busy", action="store_true", help="Leave out what a busy machine falsifies: wall times.")
    output.add_option(parser)
    arguments = parser.parse_args()

    busy = " --busy" if arguments.busy else ""
    results: dict[str, Any] = {"command": f"python benchmarks/cpu.py --steps {arguments.steps}{busy}"}
    few = max(4, arguments.steps // 4)
    began = time.perf_counter()
    parts = [lambda: distance_from_the_limit(few), spectra, lambda: measuring(few)]
    for part in parts if arguments.busy else [lambda: study(arguments.steps), *parts, commands]:
        results |= part()
        output.save(results, arguments.output, "cpu")  # a part that fails loses none of those before it
        output.say(f"{time.perf_counter() - began:.0f} s")
    print(page.table(results))
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
