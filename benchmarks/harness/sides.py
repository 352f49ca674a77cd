"""The two sides of the study's speed ratio: this project's workers, and the plain script in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, wait
from typing import Any

#: The arms of configs/quick.toml that a plain script can write.
ARMS: dict[str, dict[str, Any]] = {
    "nearest_conv": {"name": "nearest_conv"},
    "bilinear_conv": {"name": "bilinear_conv"},
    "pixel_shuffle": {"name": "pixel_shuffle"},
    "transposed_conv_k3": {"name": "transposed_conv", "kernel_size": 3},
    "transposed_conv_k4": {"name": "transposed_conv", "kernel_size": 4},
}


def spec(arm: str, steps: int, seed: int = 0, **changes: Any) -> Any:
    """Return a run of the quick study; `changes` by dotted key with __ for the dot."""
    from checkerscope.experiments.study.config import merge, validate
    from checkerscope.experiments.study.spec import RunSpec

    raw: dict[str, Any] = {
        "images": {"source": "photos", "size": 64},
        "network": {"name": "autoencoder", "width": 16, "latent_channels": 16},
        "upsampler": ARMS[arm],
        "initializer": "default",
        "train": {"steps": steps, "batch_size": 16, "learning_rate": 2e-3},
        "seed": seed,
    }
    for key, value in changes.items():
        merge(raw, tuple(key.split("__")), value, "benchmark")
    return validate(RunSpec, raw, "benchmark")


def train_ours(arm: str, steps: int, seed: int) -> float:
    """Train one model as a worker does, without the store; return the worker's peak memory in MB."""
    import torch

    from checkerscope.experiments.execution import fit
    from checkerscope.experiments.study import build, provenance
    from checkerscope.toolkit.training import loop

    torch.set_num_threads(1)
    run = spec(arm, steps, seed)
    data = build.data(run, "train")
    provenance.reset_peak_memory()
    loop.train(build.model(run, data), data.inputs, fit.recipe(run), seed=seed)
    return provenance.peak_memory_mb()


def stepper(run: Any) -> Callable[[], None]:
    """Return a call that takes the run's steps with a model that is already in place, in this thread."""
    import torch

    from checkerscope.experiments.execution import fit
    from checkerscope.experiments.study import build
    from checkerscope.toolkit.training.engine import Data, Member
    from checkerscope.toolkit.training.loop import Loop

    torch.set_num_threads(1)
    images = build.data(run, "train")
    model = build.model(run, images)
    training = Loop(Member(model, run.seed), Data.of(images.inputs, None, fit.recipe(run), models=[model]))

    def take() -> None:
        for step in range(run.train.steps):
            training.advance(step)

    return take


def operations(run: Any) -> int:
    """Return the floating-point operations of one training step, as torch counts those of convolutions."""
    from torch.utils.flop_counter import FlopCounterMode

    from checkerscope.experiments.study import build

    images = build.data(run, "train")
    counter = FlopCounterMode(display=False)
    with counter:
        build.model(run, images)(images.inputs[: run.train.batch_size]).square().mean().backward()
    return counter.get_total_flops()


class Ours:
    """Workers of the local executor."""

    def __init__(self, pool: Executor) -> None:
        self.pool, self.peak_memory_mb = pool, 0.0

    def train(self, arms: list[str], steps: int) -> float:
        """Return the seconds that the workers take for one model per arm."""
        began = time.perf_counter()
        done, _ = wait([self.pool.submit(train_ours, arm, steps, seed) for seed, arm in enumerate(arms)])
        taken = time.perf_counter() - began
        self.peak_memory_mb = max(self.peak_memory_mb, *(future.result() for future in done))
        return taken


class Plain:
    """The plain script in a warm process, with torch's default threads or one."""

    def __init__(self, threads: str = "default") -> None:
        kept = {name: os.environ.pop(name, None) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        if threads != "default":
            os.environ["OMP_NUM_THREADS"] = threads
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()  # or a process that dies would be waited for
        os.environ |= {name: value for name, value in kept.items() if value is not None}

    def train(self, arms: list[str], steps: int) -> float:
        """Return the seconds that it takes for one model per arm, one after the other."""
        seconds = 0.0
        for seed, arm in enumerate(arms):
            self.pipe.send((arm, steps, seed))
            seconds += self.pipe.recv()
        return seconds

    def close(self) -> None:
        """End the process."""
        self.pipe.send((None, 0, 0))
        self.process.join()


def _serve(pipe: Any) -> None:
    from benchmarks import plain_script
    from checkerscope.toolkit.images import photos

    images = photos.load("train", 64)
    while True:
        arm, steps, seed = pipe.recv()
        if arm is None:
            return
        began = time.perf_counter()
        plain_script.train(arm, images, steps, seed)
        pipe.send(time.perf_counter() - began)
