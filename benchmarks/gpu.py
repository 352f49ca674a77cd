"""The GPU benchmark: executors times models in a group times model size, against the eager loop and the hardware.

    python benchmarks/gpu.py       writes benchmarks/gpu.json where there is a CUDA device, and nothing elsewhere

Every row is the time of one step of K models; the loop trains one model after the other, so its time is K times one.
The ceilings are measured: float32 GEMM without TF32, and a copy in device memory. The attainable roofline of a step is
the smaller of the GEMM ceiling and (operations per byte) times the copy's bytes per second. No number here is a test.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parent.parent
SIZES = ((32, 16), (64, 32), (128, 64))  # (side, width)
MODELS = (1, 2, 5, 10, 20, 50)
BATCH = 16


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


def work(model: Any, images: torch.Tensor) -> tuple[int, int]:
    """Return the operations of one training step and the bytes that its operators read and write, each by itself."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import FlopCounterMode

    class Bytes(TorchDispatchMode):
        moved = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if not func.is_view:
                leaves = tree_leaves((args, kwargs, result))
                self.moved += sum(t.numel() * t.element_size() for t in leaves if hasattr(t, "element_size"))
            return result

    counter, moved = FlopCounterMode(display=False), Bytes()
    with counter, moved:
        (model(images) - images).square().mean().backward()
    model.zero_grad(set_to_none=True)
    return counter.get_total_flops(), moved.moved


def rows(side: int, width: int, device: torch.device, limits: dict[str, float], steps: int) -> list[dict[str, Any]]:
    """Return one row per executor and number of models of one size."""
    import torch

    from benchmarks.timing import say
    from toolkit import catalog
    from toolkit.networks.autoencoder import Autoencoder
    from toolkit.training import choice
    from toolkit.training.engine import Data, Member, Recipe

    upsampler = catalog.load("toolkit.upsamplers", "nearest_conv")
    images = torch.rand(256, 3, side, side, device=device, generator=torch.Generator(device).manual_seed(0))
    data = Data.of(images, None, Recipe(steps, BATCH))
    members = [Member(Autoencoder(upsampler, width=width).to(device), seed) for seed in range(max(MODELS))]
    operations, moved = work(members[0].model, images[:BATCH])
    attainable = min(limits["flops"], operations / moved * limits["bytes"])
    found = []
    for count in MODELS:
        for name in choice.EXECUTORS:
            row: dict[str, Any] = {"side": side, "width": width, "models": count, "executor": name}
            torch.cuda.reset_peak_memory_stats(device)
            try:
                if why := choice.refusal(name, members[:count], data):
                    row["refused"] = why
                else:
                    taken = choice.seconds_per_step(name, members[:count], data, timed=steps)
                    rate = count * operations / taken
                    row |= {"step_ms": 1e3 * taken, "models_per_minute_of_300_steps": 60 * count / (300 * taken)}
                    row |= {"flops": rate, "bytes": count * moved / taken, "of_roofline": rate / attainable}
            except torch.OutOfMemoryError:
                row["refused"] = "out of memory"
            row["memory_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
            say(str(row))
            found.append(row)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50, help="Timed steps per row.")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "gpu.json")
    arguments = parser.parse_args()
    import torch

    from benchmarks import timing

    if not torch.cuda.is_available():
        print(f"no CUDA device (torch {torch.__version__}): nothing was measured, nothing was written")
        return 0
    device = torch.device("cuda")
    limits = ceilings(device)
    found = [row for side, width in SIZES for row in rows(side, width, device, limits, arguments.steps)]
    command = f"python benchmarks/gpu.py --steps {arguments.steps}"
    timing.write(arguments.output, {"command": command, "ceilings": limits, "rows": found}, "cuda")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
