"""The CPU benchmark: study throughput, the distance from the machine's limit, and the speed of the spectra.

    make bench       writes benchmarks/cpu.json and docs/performance.md

Every ratio is taken in one run, A B A B, from medians. Both sides of the study ratio train the same models (the arms of
configs/quick.toml that a plain script can write, the same steps, images and batch size) in warm processes:
A is benchmarks/plain_script.py with torch's default threads, one model after the other; B is this project's workers,
one thread each. No number here is a test.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ARMS: dict[str, dict[str, Any]] = {
    "nearest_conv": {"name": "nearest_conv"},
    "bilinear_conv": {"name": "bilinear_conv"},
    "pixel_shuffle": {"name": "pixel_shuffle"},
    "transposed_conv_k3": {"name": "transposed_conv", "kernel_size": 3},
    "transposed_conv_k4": {"name": "transposed_conv", "kernel_size": 4},
}
ROUNDS = 3


def spec(arm: str, steps: int, seed: int = 0) -> Any:
    from experiments.config import RunSpec, validate

    raw = {
        "images": {"source": "photos", "size": 64},
        "network": {"name": "autoencoder", "width": 16, "latent_channels": 16},
        "upsampler": ARMS[arm],
        "initializer": "default",
        "train": {"steps": steps, "batch_size": 16, "learning_rate": 2e-3},
        "seed": seed,
    }
    return validate(RunSpec, raw, "benchmark")


def train_ours(arm: str, steps: int, seed: int) -> float:
    """Train one model as a worker does, without the store; return its seconds."""
    import torch

    from experiments import build
    from toolkit.training import loop

    torch.set_num_threads(1)
    run = spec(arm, steps, seed)
    data = build.data(run, "train")
    began = time.perf_counter()
    loop.train(build.model(run, data), data.inputs, build.recipe(run), seed=seed)
    return time.perf_counter() - began


def serve_plain(pipe: Any) -> None:
    """Train with the plain script in a process of its own, so that its threads are torch's default."""
    from benchmarks import plain_script
    from toolkit.images import photos

    images = photos.load("train", 64)
    while True:
        arm, steps, seed = pipe.recv()
        if arm is None:
            return
        began = time.perf_counter()
        plain_script.train(arm, images, steps, seed)
        pipe.send(time.perf_counter() - began)


class Plain:
    """The plain script in a warm process with default threads."""

    def __init__(self) -> None:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.pop(name, None)
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve_plain, args=(theirs,), daemon=True)
        self.process.start()

    def train(self, arms: list[str], steps: int) -> float:
        seconds = 0.0
        for seed, arm in enumerate(arms):
            self.pipe.send((arm, steps, seed))
            seconds += self.pipe.recv()
        return seconds

    def close(self) -> None:
        self.pipe.send((None, 0, 0))
        self.process.join()


def study_ratios(steps: int) -> dict[str, Any]:
    """Return models per minute of both sides, for the whole grid and for nearest + conv alone."""
    from experiments.executors import default_workers, local

    plain, workers = Plain(), default_workers()
    pool = local(workers, "cpu")

    def ours(arms: list[str]) -> float:
        began = time.perf_counter()
        done, _ = wait([pool.submit(train_ours, arm, steps, seed) for seed, arm in enumerate(arms)])
        [future.result() for future in done]
        return time.perf_counter() - began

    def theirs(arms: list[str]) -> float:
        return plain.train(arms, steps)

    grid = list(ARMS) * (2 if len(ARMS) % workers else 1)  # so that no worker idles at the end
    for side in (theirs, ours):
        side(list(ARMS)[:workers])  # warm: imports, images, allocator
    results = {}
    for name, arms in (("study", grid), ("nearest", ["nearest_conv"] * 2 * workers)):
        rounds = interleaved({"plain": lambda a=arms: theirs(a), "ours": lambda a=arms: ours(a)})
        results[name] = {side: 60 * len(arms) / seconds for side, seconds in rounds.items()}
        print(f"{name}: {results[name]}", file=sys.stderr)
    plain.close()
    pool.shutdown()
    return {
        "steps": steps,
        "workers": workers,
        "models_per_minute": results,
        "study_ratio": results["study"]["ours"] / results["study"]["plain"],
        "nearest_ratio": results["nearest"]["ours"] / results["nearest"]["plain"],
    }


def interleaved(sides: dict[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return each side's median over A B A B rounds."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            taken[name].append(side())
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def timed(call: Callable[[], Any]) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    return run


def gemm_fractions(steps: int) -> dict[str, Any]:
    """Return how much of one thread's measured float32 GEMM peak every arm's training reaches."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from experiments import build
    from toolkit.training import loop

    torch.set_num_threads(1)
    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    torch.mm(a, b)
    fractions = {}
    peaks = []
    for arm in ARMS:
        run = spec(arm, steps)
        data = build.data(run, "train")
        counter = FlopCounterMode(display=False)
        with counter:
            build.model(run, data)(data.inputs[:16]).square().mean().backward()
        loop.train(build.model(run, data), data.inputs, build.recipe(spec(arm, 3)), seed=0)
        taken = interleaved(
            {
                "gemm": timed(lambda: [torch.mm(a, b) for _ in range(10)]),
                "train": timed(
                    lambda run=run, data=data: loop.train(
                        build.model(run, data), data.inputs, build.recipe(run), seed=0
                    )
                ),
            }
        )
        peak = 10 * 2 * 1024**3 / taken["gemm"]
        peaks.append(peak)
        fractions[arm] = counter.get_total_flops() * steps / taken["train"] / peak
    return {"gemm_peak_gflops": statistics.median(peaks) / 1e9, "gemm_fraction": fractions}


def spectra_ratios(count: int = 10_000) -> dict[str, Any]:
    """Return how much faster the batched radial spectrum is than a tidy loop, and than the field's per-image loop."""
    import numpy as np
    import torch

    from analysis.measures.radial_spectrum import radial_spectrum

    torch.set_num_threads(1)
    images = torch.rand(count, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    array = images.squeeze(1).numpy()
    fy, fx = np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64), indexing="ij")
    bins = np.rint(np.hypot(fy, fx) * 64).astype(int).ravel()
    sizes = np.bincount(bins)
    window = np.outer(*[0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(64) + 0.5) / 64)] * 2)
    few = array[: count // 10]

    def tidy() -> Any:
        total = np.zeros(len(sizes))
        for image in few:
            power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
            total += np.bincount(bins, power.ravel()) / sizes
        return total

    def azimuthal() -> Any:
        profiles = []
        for image in few:
            power = 20 * np.log(np.abs(np.fft.fftshift(np.fft.fft2(image))) + 1e-8)
            y, x = np.indices(power.shape)
            radius = np.hypot(x - 31.5, y - 31.5)
            order = np.argsort(radius.flat)
            sorted_radius, sorted_power = radius.flat[order].astype(int), power.flat[order]
            edges = np.where(sorted_radius[1:] - sorted_radius[:-1])[0]
            cumulated = np.cumsum(sorted_power, dtype=float)
            profiles.append((cumulated[edges[1:]] - cumulated[edges[:-1]]) / (edges[1:] - edges[:-1]))
        return np.mean(profiles, axis=0)

    radial_spectrum(images[:100])
    taken = interleaved(
        {"ours": timed(lambda: radial_spectrum(images)), "numpy": timed(tidy), "loop": timed(azimuthal)}
    )
    scale = count / len(few)
    return {
        "spectra_images": count,
        "spectra_seconds": taken["ours"],
        "spectra_ratio_numpy": taken["numpy"] * scale / taken["ours"],
        "spectra_ratio_loop": taken["loop"] * scale / taken["ours"],
    }


def measuring_share() -> dict[str, Any]:
    """Return the seconds that the quick study's measures take per run, and its training for comparison."""
    import torch

    from experiments import build, config
    from experiments.grid import Grid
    from toolkit import catalog

    torch.set_num_threads(1)
    path = ROOT / "configs" / "quick.toml"
    study = config.read(path)
    run = next(iter(Grid(study, str(path)))).spec
    held_out = build.data(run, "test").first(study.measure.images)
    network = build.model(run, held_out)

    def measure() -> None:
        trial = build.trial(network, held_out, run, margin=study.measure.margin)
        for name in study.measure.measures:
            catalog.load("analysis.measures", name).measure(trial)

    measure()
    steps = len(run.saved_steps)
    seconds = interleaved({"measure": timed(measure), "train": lambda: train_ours("nearest_conv", 50, 0)})
    training = seconds["train"] * run.train.steps / 50
    share = steps * seconds["measure"] / training
    return {"measure_seconds_per_run": steps * seconds["measure"], "measure_share_of_training": share}


def commands() -> dict[str, float]:
    """Return the seconds of the commands that must answer at once, medians of five."""
    import subprocess

    python = [sys.executable, "-m", "experiments"]
    taken = {}
    for name, words in (
        ("help", ["--help"]),
        ("list", ["list", "upsamplers", "--json"]),
        ("dry_run", ["run", "configs/paper.toml", "--dry-run"]),
    ):
        call = timed(lambda words=words: subprocess.run([*python, *words], cwd=ROOT, check=True, capture_output=True))
        taken[f"{name}_seconds"] = statistics.median(call() for _ in range(5))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="Training steps per model.")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "cpu.json")
    arguments = parser.parse_args()
    from benchmarks import report
    from experiments import provenance, store

    results = {"command": f"python benchmarks/cpu.py --steps {arguments.steps}"}
    results |= study_ratios(arguments.steps)
    results |= gemm_fractions(max(10, arguments.steps // 4))
    results |= spectra_ratios()
    results |= measuring_share()
    results |= commands()
    results["environment"] = provenance.environment("cpu")
    results["load"] = os.getloadavg()
    store.write(arguments.output, store.to_json(results))
    print(report.table(results))
    store.write(ROOT / "docs" / "performance.md", report.page(ROOT / "benchmarks").encode())


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
