"""How often `periodicity_test` cries grid where there is none, and how faint a grid it finds.

    OMP_NUM_THREADS=1 python benchmarks/calibration.py --output benchmarks/calibration.json

False positives at the nominal 5 % on coloured noise (power 1 / f^0 to 1 / f^3), on photographs cropped at random
offsets and on dead leaves; power for an injected tone. One core, ten minutes; `--draws 300 --largest 128` takes one.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from skimage import data
from torch import Tensor

from checkerscope.analysis.periodicity import Lines, across_p_values, cauchy_rule, local_p_values, measure_lines
from checkerscope.toolkit.images import dead_leaves

PERIODS = (2, 3, 4, 8)
EXPONENTS = (0.0, 1.0, 2.0, 3.0)
SETS = (1, 4, 16, 64)
LEVEL = 0.05
ACROSS_BAND = (0.03, 0.07)
MOST = {"few": 0.085, "many": 0.07}  # below 12 periods, and from 12

# All of scikit-image's bundled natural and microscopic pictures, in grey; documents and drawings are left out.
PHOTOGRAPHS = (
    *("astronaut", "brick", "camera", "cell", "chelsea", "clock", "coffee", "coins", "grass", "gravel"),
    *("hubble_deep_field", "immunohistochemistry", "moon", "retina", "rocket"),
)
# Over crops at random offsets a photograph without a grid of its own stays below this excess at all lattice lines.
OWN_GRID_DB = 4.0


def noise(count: int, shape: tuple[int, ...], exponent: float, generator: torch.Generator) -> Tensor:
    """Return (count, 1, *shape) Gaussian noise whose power falls as 1 / f^exponent."""
    axes = tuple(range(2, len(shape) + 2))
    squares = sum(
        torch.fft.fftfreq(n).reshape(-1, *(1,) * (len(shape) - axis - 1)).square() for axis, n in enumerate(shape)
    )
    assert isinstance(squares, Tensor)
    gain = squares.clamp(min=1 / max(shape) ** 2 / 4) ** (-exponent / 4)
    white = torch.randn(count, 1, *shape, generator=generator)
    return torch.fft.ifftn(torch.fft.fftn(white, dim=axes) * gain, dim=axes).real


def photographs() -> dict[str, NDArray[np.float64]]:
    """Return name to picture in grey, [0, 1]; the left view of the stereo pair only."""
    pictures = {name: getattr(data, name)() for name in PHOTOGRAPHS}
    pictures["motorcycle_left"] = data.stereo_motorcycle()[0]
    return {name: picture / 255.0 for name, picture in pictures.items()}


def grey(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    return picture.mean(-1) if picture.ndim == 3 else picture


def crops(picture: NDArray[np.float64], shape: tuple[int, int], count: int, rng: np.random.Generator) -> Tensor:
    """Return (count, C, *shape) crops at random offsets."""
    tops, lefts = (rng.integers(side - need + 1, size=count) for side, need in zip(picture.shape, shape, strict=False))
    cut = [picture[top : top + shape[0], left : left + shape[1]] for top, left in zip(tops, lefts, strict=True)]
    stack = torch.from_numpy(np.stack(cut))
    return stack[:, None] if picture.ndim == 2 else stack.movedim(-1, 1)


def joined(parts: list[Lines]) -> Lines:
    return replace(
        parts[0],
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("coefficient", "fit", "ratio", "floor")
        },
    )


def subsets(pool: int, images: int, draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return (draws, images) different members of a pool in each draw."""
    rows = (
        [rng.permutation(pool)[:images] for _ in range(draws)] if images > 1 else [rng.permutation(pool)[:draws, None]]
    )
    return np.stack(rows) if images > 1 else rows[0]


def rejections(sets: Lines) -> dict[str, float]:
    """Return the share of sets (draws, images, ...) with p < 5 %, per test."""
    tests = {"local": local_p_values(sets)}
    if sets.coefficient.shape[1] >= 4:
        tests["across"] = across_p_values(sets)
        tests["combined"] = np.concatenate(list(tests.values()), axis=-1)
    flat = {name: p.reshape(len(p), -1) for name, p in tests.items()}
    return {name: round(float((cauchy_rule(p)[1] < LEVEL).mean()), 4) for name, p in flat.items()}


def noise_cells(draws: int, largest: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield one record per exponent, period, shape and set size."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    for exponent in EXPONENTS:
        for shape, periods in noise_shapes(largest).items():
            chunk = max(1, 2**23 // math.prod(shape))
            parts: dict[int, list[Lines]] = {period: [] for period in periods}
            for start in range(0, draws, chunk):
                images = noise(min(chunk, draws - start), shape, exponent, generator)
                for period in periods:
                    parts[period].append(measure_lines(images, period))
            for period in periods:
                pool = joined(parts[period])
                for n in SETS:
                    # -x is as likely as x: random signs make sets that share images independent
                    sets = pool.pick(subsets(draws, n, draws, rng))
                    signs = rng.choice([-1.0, 1.0], size=(*sets.coefficient.shape[:2], 1, 1))
                    sets = replace(sets, coefficient=sets.coefficient * signs)
                    yield cell("noise", period, shape, n, draws, rejections(sets), exponent=exponent)


def noise_shapes(largest: int) -> dict[tuple[int, ...], list[int]]:
    """Return the shapes of noise and the periods that each is tested at."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for period in PERIODS:
        for shape in ((8 * period, 8 * period), (12 * period, 20 * period + 1), (4 * period, 6 * period)):
            shapes.setdefault(shape, []).append(period)
    shapes |= {(128, 96): list(PERIODS), (256,): list(PERIODS), (16, 16, 16): [2]}
    if largest >= 512:
        shapes[(512, 512)] = list(PERIODS)
    return shapes


def cell(
    kind: str, period: int, shape: tuple[int, ...], images: int, draws: int, rates: dict[str, float], **more: object
) -> dict[str, object]:
    """Return a record with its verdict: which rates lie outside their band."""
    most = MOST["few" if min(shape) < 12 * period else "many"]
    low, high = ACROSS_BAND
    outside = [name for name, rate in rates.items() if name != "across" and rate > most]
    if "across" in rates and not low <= rates["across"] <= high:
        outside.append("across")
    return {
        "kind": kind,
        **more,
        "period": period,
        "shape": list(shape),
        "images": images,
        "draws": draws,
        **rates,
        "outside": outside,
    }


def own_grids(pictures: dict[str, NDArray[np.float64]], rng: np.random.Generator) -> dict[str, float]:
    """Return per photograph the largest excess in dB of a lattice line's mean power over its neighbours' at periods
    2, 3, 4 and 8, 1,000 crops of 72 x 72."""
    worst = {}
    for name, picture in pictures.items():
        cut = crops(picture, (72, 72), 1000, rng)
        lines = [measure_lines(cut, period) for period in PERIODS]
        excess = [(np.abs(x.coefficient) ** 2).mean(0) / (x.fit * x.ratio).mean(0) for x in lines]
        worst[name] = round(10 * math.log10(max(ratio.max() for ratio in excess)), 2)
    return worst


def photograph_cells(draws: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield one record per group of photographs, period, shape and set size; a set has one crop of each."""
    rng = np.random.default_rng(seed)
    pictures = photographs()
    greys = {name: grey(picture) for name, picture in pictures.items()}
    excess = own_grids(greys, rng)
    clean = {name: picture for name, picture in greys.items() if excess[name] < OWN_GRID_DB}
    colour = {name: picture for name, picture in pictures.items() if picture.ndim == 3}
    yield {"kind": "own grids", "excess_db": excess, "clean": sorted(clean)}
    for period in PERIODS:
        for shape in sorted({(8 * period, 8 * period), (64, 64), (64, 97), (12 * period, 20 * period + 1), (160, 128)}):
            for kind, group, sizes in (
                ("all photographs", greys, (4, 16)),
                ("clean photographs", clean, (1, 4, len(clean))),
                ("colour photographs", colour, (4, len(colour))),
            ):
                count = max(50, -(-draws // len(group)))
                pool = joined([measure_lines(crops(picture, shape, count, rng), period) for picture in group.values()])
                for n in sizes:
                    index = np.stack([rng.permutation(len(group))[:n] * count for _ in range(draws)])
                    index += rng.integers(count, size=index.shape)
                    rates = rejections(pool.pick(index))
                    if kind != "clean photographs":  # their own grids have no common phase, but they are grids
                        rates = {"across": rates["across"]}
                    yield cell(kind, period, shape, n, draws, rates)


def leaves_cells(draws: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield one record per period, shape and set size on procedural dead leaves, whose edges are a photograph's."""
    rng = np.random.default_rng(seed)
    # a larger pool than draws: sets of 64 that share images would share the pool's own mean
    images = dead_leaves.load("train", 64, images=4 * draws, channels=1, seed=seed)
    for shape in ((64, 64), (48, 33), (24, 24), (16, 16)):
        for period in (period for period in PERIODS if 8 * period <= min(shape)):
            pool = measure_lines(images[..., : shape[0], : shape[1]], period)
            for n in SETS:
                rates = rejections(pool.pick(subsets(len(images), n, draws, rng)))
                yield cell("dead leaves", period, shape, n, draws, rates)


def power_cells(draws: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield the detection rate of a tone in 64 x 64 crops of all photographs, per level, set size and direction.

    "own": the amplitude is relative to each image's standard deviation; "common": to that of the set.
    """
    rng = np.random.default_rng(seed)
    cut = torch.cat([crops(grey(picture), (64, 64), 200, rng) for picture in photographs().values()])
    deviation = cut.std(dim=(2, 3), keepdim=True)
    rows = torch.arange(64)[:, None].expand(64, 64)
    tones = {"(pi, pi)": (-1.0) ** (rows + rows.T), "(pi, 0)": (-1.0) ** rows, "(0, pi)": (-1.0) ** rows.T}
    for name, tone in tones.items():
        for db in (-52, -46, -40):
            for amplitude, scale in (("own", deviation), ("common", deviation.square().mean().sqrt())):
                pool = measure_lines(cut + 10 ** (db / 20) * scale * tone, 2)
                for n in SETS:
                    rates = rejections(pool.pick(subsets(len(cut), n, draws, rng)))
                    yield {
                        "kind": "power",
                        "line": name,
                        "db": db,
                        "amplitude": amplitude,
                        "images": n,
                        "draws": draws,
                        **rates,
                    }


def summary(cells: list[dict[str, object]]) -> dict[str, dict[str, int]]:
    """Return per kind how many rates were measured and how many lie outside their band."""
    found: dict[str, dict[str, int]] = {}
    for one in cells:
        if "outside" in one:
            row = found.setdefault(str(one["kind"]), {"cells": 0, "cells_outside": 0})
            row["cells"] += 1
            row["cells_outside"] += bool(one["outside"])
    return found


def machine() -> dict[str, object]:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    return {"cpu": cpu or platform.processor(), "threads": torch.get_num_threads(), "system": platform.system()}


def report(options: argparse.Namespace, cells: list[dict[str, object]], seconds: float, cpu_seconds: float) -> str:
    """Return the JSON document, one cell per line."""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    head = {
        "command": f"OMP_NUM_THREADS=1 python benchmarks/calibration.py --draws {options.draws} "
        f"--largest {options.largest} --seed {options.seed} --output benchmarks/calibration.json",
        "seed": options.seed,
        "versions": versions | {"scipy": scipy.__version__, "scikit-image": metadata.version("scikit-image")},
        "machine": machine(),
        "seconds": round(seconds),
        "cpu_seconds": round(cpu_seconds),
        "bands": {"across": ACROSS_BAND, "local, combined": MOST},
        "summary": summary(cells),
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in head.items()]
    rows = ",\n".join(json.dumps(one, allow_nan=False) for one in cells)
    return "{\n" + ",\n".join(lines) + ',\n"cells": [\n' + rows + "\n]\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--draws", type=int, default=2000, help="sets per cell (default %(default)s)")
    parser.add_argument("--largest", type=int, default=512, help="largest side of noise (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default %(default)s)")
    parser.add_argument("--parts", nargs="+", default=["noise", "photographs", "leaves", "power"], help="(default all)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start, cpu = time.time(), time.process_time()
    sources = {
        "noise": lambda: noise_cells(options.draws, options.largest, options.seed),
        "photographs": lambda: photograph_cells(options.draws, options.seed),
        "leaves": lambda: leaves_cells(options.draws, options.seed),
        "power": lambda: power_cells(options.draws, options.seed),
    }
    cells: list[dict[str, object]] = []
    for part in options.parts:
        for one in sources[part]():
            cells.append(one)
            print(json.dumps(one), file=sys.stderr, flush=True)
    if options.output:
        options.output.write_text(report(options, cells, time.time() - start, time.process_time() - cpu))
    print(json.dumps(summary(cells)))


if __name__ == "__main__":
    main()
