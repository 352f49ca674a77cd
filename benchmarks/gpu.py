"""The GPU benchmark: engines times models in a group times model size, against the eager loop and the hardware.

    python benchmarks/gpu.py [--output PLACE]       measures where there is a CUDA device, and nothing elsewhere

Every row is the time of one step of K models; the loop trains one model after the other, so its time is K times one.
The ceilings are measured: float32 GEMM without TF32, and a copy in device memory. The attainable time of a step is the
sum over its operators of what the slower ceiling allows each: operations at the GEMM's rate, bytes read and written at
the copy's. No number here is a test.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parent.parent
SIZES = ((32, 16), (64, 32), (128, 64))  # (side, width)
MODELS = (1, 2, 5, 10, 20, 50)
ARM = "nearest_conv"
BATCH = 16
#: Images whose spectra are streamed, and how many are held at once.
STREAMED, HELD = 1_000_000, 4096


def ceilings(device: torch.device) -> dict[str, float]:
    """Return measured operations and bytes per second."""
    import torch

    a = torch.rand(4096, 4096, device=device)
    block = torch.empty(2**28, device=device)  # 1 GiB
    other = torch.empty_like(block)
    return {
        "flops": 2 * 4096**3 / seconds(lambda: torch.mm(a, a)),
        "bytes": 2 * 4 * block.numel() / seconds(lambda: other.copy_(block)),
    }


def seconds(call: Any, times: int = 20) -> float:
    """Return the seconds of one call on the device, the best of five rounds."""
    import torch

    best = float("inf")
    for _ in range(5):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(times):
            call()
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - began) / times)
    return best


def data_and_members(side: int, width: int, device: torch.device, count: int, recipe: Any) -> tuple[Any, list[Any]]:
    """Return random images and `count` models of one size on the device."""
    import torch

    from checkerscope.toolkit import catalog
    from checkerscope.toolkit.networks.autoencoder import Autoencoder
    from checkerscope.toolkit.training.engine import Data, Member

    upsampler = catalog.load("checkerscope.toolkit.upsamplers", ARM)
    images = torch.rand(256, 3, side, side, device=device, generator=torch.Generator(device).manual_seed(0))
    members = [Member(Autoencoder(upsampler, width=width).to(device), seed) for seed in range(count)]
    return Data.of(images, None, recipe, models=[each.model for each in members]), members


def profile(side: int, width: int, device: torch.device, limits: dict[str, float]) -> dict[str, dict[str, float]]:
    """Return what a step of one model takes on the device and what is attainable, by label."""
    import torch
    from torch.profiler import ProfilerActivity

    from benchmarks.harness.roofline import label, work
    from checkerscope.toolkit.training import devices
    from checkerscope.toolkit.training.engine import Recipe
    from checkerscope.toolkit.training.loop import Loop

    data, members = data_and_members(side, width, device, 1, Recipe(100, BATCH))
    training, steps = Loop(members[0], data), 10
    with devices.matmul_precision("float32"):
        for step in range(steps):
            training.advance(step)
        torch.cuda.synchronize()
        with torch.profiler.profile(
            activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True, record_shapes=True
        ) as seen:
            for step in range(steps, 2 * steps):
                training.advance(step)
            torch.cuda.synchronize()
        needed = work(lambda: training.advance(2 * steps), limits)
    taken: dict[str, float] = defaultdict(float)
    for event in seen.key_averages(group_by_input_shape=True):
        if event.device_type == torch.autograd.DeviceType.CPU:  # an operator with the time of its kernels
            taken[label(event.key, event.input_shapes)] += event.self_device_time_total / 1e3 / steps
    return {name: {**entry, "device_ms": taken[name]} for name, entry in needed.items()}


def rows(side: int, width: int, device: torch.device, steps: int) -> list[dict[str, Any]]:
    """Return one row per executor and number of models of one size."""
    from benchmarks.harness.output import say
    from checkerscope.toolkit.training import choice
    from checkerscope.toolkit.training.engine import Recipe

    data, members = data_and_members(side, width, device, max(MODELS), Recipe(steps, BATCH))
    found = []
    for count in MODELS:
        for name in choice.ENGINES:
            row: dict[str, Any] = {"side": side, "width": width, "models": count, "executor": name}
            row |= timed(name, members[:count], data, steps)
            say(str(row))
            found.append(row)
    return found


def rate(results: dict[str, Any]) -> None:
    """Add to rows and profile what a step does, per second and against the ceilings.

    Counted here, on the CPU, in the second step (the first also makes Adam's state): it is the same on every machine.
    """
    import torch

    from benchmarks.harness.roofline import work
    from checkerscope.toolkit.training.engine import Recipe
    from checkerscope.toolkit.training.loop import Loop

    for side, width in SIZES:
        data, members = data_and_members(side, width, torch.device("cpu"), 1, Recipe(10, BATCH))
        training = Loop(members[0], data)
        training.advance(0)
        needed = work(partial(training.advance, 1), results["ceilings"])
        if (side, width) == SIZES[-1]:
            for name, entry in needed.items():
                results["profile"][name] |= entry
        totals = (sum(e[k] for e in needed.values()) for k in ("operations", "bytes", "attainable_ms"))
        operations, moved, attainable = totals
        for row in results["rows"]:
            if (row["side"], row["width"]) == (side, width) and "step_ms" in row:
                count, taken = row["models"], row["step_ms"]
                row |= {"flops": 1e3 * count * operations / taken, "bytes": 1e3 * count * moved / taken}
                row["of_roofline"] = count * attainable / taken


def timed(name: str, members: list[Any], data: Any, steps: int) -> dict[str, Any]:
    """Return milliseconds per step of all members, models per minute and memory; or why there are none."""
    import torch

    from checkerscope.toolkit.training import choice

    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    try:
        if why := choice.refusal(name, members, data):
            return {"refused": why}
        taken = choice.seconds_per_step(name, members, data, timed=steps)
    except torch.OutOfMemoryError:
        return {"refused": "out of memory"}
    memory = torch.cuda.max_memory_allocated() / 2**20
    rate = 60 * len(members) / (300 * taken)
    return {"step_ms": 1e3 * taken, "models_per_minute_of_300_steps": rate, "memory_mb": memory}


def precisions(side: int, width: int, device: torch.device, steps: int) -> list[dict[str, Any]]:
    """Return what one captured step takes in the precisions that are opt-in."""
    from checkerscope.toolkit.training.engine import Recipe

    found = []
    for precision in ("tf32", "bfloat16"):
        data, members = data_and_members(side, width, device, 1, Recipe(steps, BATCH, precision=precision))
        found.append({"side": side, "width": width, "precision": precision, **timed("graph", members, data, steps)})
    return found


def stream(device: torch.device) -> dict[str, Any]:
    """Train a model into a store, and return what the mean spectrum of a million images through it takes."""
    import torch

    from benchmarks.harness.sides import spec
    from benchmarks.harness.streaming import mean_power, reconstructions
    from checkerscope.experiments.execution import training as task

    def chunks(count: int, where: torch.device) -> Iterator[torch.Tensor]:
        generator = torch.Generator(where).manual_seed(0)
        for begin in range(0, count, HELD):
            yield torch.rand(min(HELD, count - begin), 3, 64, 64, device=where, generator=generator)

    with tempfile.TemporaryDirectory() as folder:
        place, run = task.Place(folder, "stream", device="cuda"), spec(ARM, 300)
        place.store.prepare()
        answer = task.train_run(run.canonical, place)
        if answer["status"] != "done":
            raise RuntimeError(answer["why"])

        def spectrum(count: int, where: torch.device) -> torch.Tensor:
            return mean_power(reconstructions(place.store, run, chunks(count, where), device=where))

        spectrum(HELD, device)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        power = spectrum(STREAMED, device)
        assert torch.isfinite(power).all()  # waits for the device
        taken = time.perf_counter() - began
        memory = torch.cuda.max_memory_allocated() / 2**20
        began = time.perf_counter()
        spectrum(HELD, torch.device("cpu"))
        slow = time.perf_counter() - began
    rates = {"images_per_second": STREAMED / taken, "images_per_second_on_one_cpu_thread": HELD / slow}
    return {"images": STREAMED, "held": HELD, "size": 64, "seconds": taken, "memory_mb": memory, **rates}


def recount(path: Path) -> None:
    """Count anew what the steps in a results file do, and write it."""
    from checkerscope.experiments.store import disk
    from checkerscope.experiments.store.seals import to_json

    kept = json.loads(path.read_text(encoding="utf-8"))
    rate(kept)
    disk.write(path, to_json(kept))


def main() -> int:
    from benchmarks.harness import output

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="Timed steps per row.")
    output.add_option(parser)
    parser.add_argument(
        "--recount", action="store_true", help="Measure nothing; count anew what the steps of benchmarks/gpu.json do."
    )
    arguments = parser.parse_args()
    import torch

    if arguments.recount:
        recount(output.file_in(arguments.output, "gpu") or ROOT / "benchmarks" / "gpu.json")
        return 0
    if not torch.cuda.is_available():
        print(f"no CUDA device (torch {torch.__version__}): nothing was measured, nothing was written")
        return 0
    torch.set_num_threads(1)
    device, steps = torch.device("cuda"), arguments.steps
    limits = ceilings(device)
    results: dict[str, Any] = {"command": f"python benchmarks/gpu.py --steps {steps}", "arm": ARM, "ceilings": limits}
    parts = {
        "profile": lambda: profile(*SIZES[-1], device, limits),
        "precisions": lambda: [row for size in SIZES[1:] for row in precisions(*size, device, steps)],
        "stream": lambda: stream(device),
        "rows": lambda: [row for size in SIZES for row in rows(*size, device, steps)],
    }
    for name, part in parts.items():
        began = time.perf_counter()
        results[name] = part()
        output.say(f"{name}: {time.perf_counter() - began:.0f} s")
        output.save(results, arguments.output, "gpu", "cuda")  # a part that fails loses none of those before it
    rate(results)
    output.finish(results, arguments.output, "gpu", "cuda")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
