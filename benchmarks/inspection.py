"""How often `checkerscope inspect` cries grid where there is none, and how often it names the right period.

    OMP_NUM_THREADS=1 python benchmarks/inspection.py --output benchmarks/inspection.json

Clean images by their number; JPEG at several qualities; grids at -40 dB and below in 16 photographs; the rate on a
folder of 10,000 pictures. One core. The photographs of the image source `photos` tuned the method, all others check
it; those of scikit-learn and PyWavelets are taken where they are installed. Every crop is reduced by a random factor
first, because most photographs carry blocks of JPEG, whose period would be found, rightly.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _output import save
from numpy.typing import NDArray
from PIL import Image

from checkerscope.analysis.inspect import Inspection, inspect
from checkerscope.toolkit.images import dead_leaves, photos

Pixels = NDArray[np.float64]
#: What checks: natural and microscopic pictures that tuned nothing; drawings, documents and second views are left out.
OTHERS = (
    *("brick.png", "cell.png", "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png"),
    *("microaneurysms.png", "retina.jpg", "camera.png", "clock_motion.png"),
)
PACKAGED = {"sklearn": ("datasets/images", ("china.jpg", "flower.jpg")), "pywt": ("data", ("aero.npz", "ascent.npz"))}
SIDE = 128
SETS = (1, 16, 64)
QUALITIES = (50, 75, 90, 95)
PERIODS = (2, 4, 8, 14, 16)


def packaged(package: str) -> list[Pixels]:
    """Return the pictures of a package, (height, width, 3) in [0, 1]; none if it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return []
    folder, names = PACKAGED[package]
    found = []
    for name in names:
        path = Path(next(iter(spec.submodule_search_locations))) / folder / name
        if path.suffix == ".npz":
            grey = np.load(path, allow_pickle=False)["data"]
            found.append(np.repeat(grey[..., None], 3, 2) / 255.0)
        else:
            found.append(opened(path))
    return found


def opened(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float64) / 255


def pool(pictures: list[Pixels], count: int, rng: np.random.Generator) -> list[Pixels]:
    """Return crops (SIDE, SIDE, 3) of pictures that were reduced by a random factor."""
    found = []
    for index in range(count):
        picture = pictures[index % len(pictures)]
        factor = max(rng.uniform(0.55, 0.85), (SIDE + 2) / min(picture.shape[:2]))
        size = [round(side * factor) for side in picture.shape[:2]]
        planes = [
            np.asarray(Image.fromarray(plane.astype(np.float32)).resize(size[::-1], Image.Resampling.LANCZOS))
            for plane in np.moveaxis(picture, -1, 0)
        ]
        top, left = (int(rng.integers(side - SIDE + 1)) for side in size)
        found.append(np.clip(np.stack(planes, -1)[top : top + SIDE, left : left + SIDE], 0, 1).astype(np.float64))
    return found


def pools(count: int, rng: np.random.Generator) -> dict[str, list[Pixels]]:
    """Return what is clean, by source."""
    tuning = [photos._read(one, 1) for part in photos._PHOTOGRAPHS.values() for one in part]
    checking = [opened(photos._folder() / name) for name in OTHERS]
    leaves = dead_leaves.load("test", SIDE, images=min(count, 200)).movedim(1, -1).double().numpy()
    return {
        "photographs that tuned it": pool(tuning, count, rng),
        "other photographs": pool(checking + [one for name in PACKAGED for one in packaged(name)], count, rng),
        "dead leaves": list(leaves),
    }


def eight_bits(image: Pixels) -> NDArray[np.uint8]:
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def looked_at(images: list[Pixels]) -> Inspection:
    """Return the inspection of pictures that were rounded to 8 bits."""
    return inspect([np.moveaxis(eight_bits(image), -1, 0) for image in images], data_range=255)


def drawn(images: list[Pixels], count: int, rng: np.random.Generator) -> list[Pixels]:
    return [images[index] for index in rng.choice(len(images), count, replace=False)]


def clean_cells(sources: dict[str, list[Pixels]], draws: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for name, images in sources.items():
        for count in SETS:
            found = [looked_at(drawn(images, count, rng)) for _ in range(draws)]
            flagged = sum(one.grid is not None for one in found)
            yield {"kind": "clean", "source": name, "images": count, "draws": draws, "flagged": flagged / draws}


def jpeg_cells(images: list[Pixels], draws: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for quality in QUALITIES:
        for colour in ("4:4:4", "4:2:0"):
            for stored in ("jpeg", "png"):
                for count in (1, 16):
                    found = [compressed(drawn(images, count, rng), quality, colour, stored) for _ in range(draws)]
                    yield {
                        "kind": "jpeg", "quality": quality, "colour": colour, "stored as": stored, "images": count,
                        "draws": draws, "blamed on an upsampler": sum(one.grid is not None for one in found) / draws,
                        "named as compression": sum("compression" in kinds(one) for one in found) / draws,
                    }  # fmt: skip


def kinds(found: Inspection) -> set[str]:
    return {other.kind for other in found.others}


def compressed(images: list[Pixels], quality: int, colour: str, stored: str) -> Inspection:
    """Return the inspection of pictures after JPEG, as JPEG files or decoded and stored as PNG."""
    with tempfile.TemporaryDirectory() as folder:
        for index, image in enumerate(images):
            buffer = io.BytesIO()
            Image.fromarray(eight_bits(image)).save(buffer, "JPEG", quality=quality, subsampling=colour)
            if stored == "jpeg":
                (Path(folder) / f"{index}.jpg").write_bytes(buffer.getvalue())
            else:
                Image.open(buffer).save(Path(folder) / f"{index}.png")
        return inspect(folder)


def pattern(kind: str, period: int, rng: np.random.Generator) -> Pixels:
    """Return one period of a grid, mean zero, root mean square 1."""
    rows, columns = np.indices((period, period))
    values = {
        "dots": (rows + columns == 0) * 1.0,
        "lines": ((rows == 0) | (columns == 0)) * 1.0,
        "random": rng.standard_normal((period, period)),
        "rows": np.repeat(rng.standard_normal((period, 1)), period, 1),
    }[kind]
    values = values - values.mean()
    return values / np.sqrt(np.square(values).mean())


def tiled(values: Pixels) -> Pixels:
    repeats = -(-SIDE // len(values))
    return np.tile(values, (repeats, repeats))[:SIDE, :SIDE]


def power_cells(images: list[Pixels], draws: int, db: float, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    def grid(period: int) -> Pixels:
        return tiled(pattern(str(rng.choice(["dots", "lines", "random"])), period, rng))

    def rows(period: int) -> Pixels:
        return tiled(pattern("rows", period, rng))

    makers: dict[str, tuple[int, list[str], Callable[[], Pixels]]] = {
        f"{period} px": (period, ["rows", "columns"], lambda period=period: grid(period)) for period in PERIODS
    }
    makers |= {f"{period} px, rows only": (period, ["rows"], lambda period=period: rows(period)) for period in (2, 8)}
    makers["2 px and as much of 8 px"] = (8, ["rows", "columns"], lambda: (grid(2) + grid(8)) / np.sqrt(2))
    for name, (period, axes, make) in makers.items():
        found = [looked_at(added(drawn(images, 16, rng), make(), db)) for _ in range(draws)]
        named = [one for one in found if one.grid and one.grid.period == period]
        strengths = [one.grid.strength_db for one in named if one.grid and one.grid.strength_db is not None]
        yield {
            "kind": "power", "grid": name, "db": db, "images": 16, "draws": draws,
            "found": sum(one.grid is not None for one in found) / draws,
            "right period": len(named) / draws,
            "right axes": sum(one.grid is not None and one.grid.axes == axes for one in named) / draws,
            "nothing beyond": sum(len(one.grids) == 1 for one in named) / draws,
            "median strength_db": round(float(np.median(strengths)), 2) if strengths else None,
        }  # fmt: skip


def added(images: list[Pixels], grid: Pixels, db: float) -> list[Pixels]:
    contrast = np.sqrt(np.mean([image.reshape(-1, 3).var(0).mean() for image in images]))
    return [image + 10 ** (db / 20) * contrast * grid[..., None] for image in images]


def rate_cells(count: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield how long a folder of pictures of 256 x 256 takes, clean and with a grid."""
    rows, columns = np.indices((256, 256))
    grid = ((rows % 8 == 0) & (columns % 8 == 0)) * 0.05
    smooth = np.kron(rng.uniform(0.2, 0.8, (64, 9, 9, 3)), np.ones((1, 32, 32, 1)))[:, :256, :256]
    for name, pattern_ in {"clean": 0 * grid, "grid of 8 px": grid}.items():
        with tempfile.TemporaryDirectory() as folder:
            for index in range(count):
                noise = rng.normal(0, 0.03, (256, 256, 3))
                image = eight_bits(smooth[index % len(smooth)] + noise + pattern_[..., None])
                Image.fromarray(image).save(Path(folder) / f"{index}.png", compress_level=1)
            start, cpu = time.monotonic(), time.process_time()
            found = inspect(folder)
            yield {
                "kind": "rate", "folder": name, "images": count, "size": [256, 256],
                "seconds": round(time.monotonic() - start, 1), "cpu seconds": round(time.process_time() - cpu, 1),
                "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "period": found.grid.period if found.grid else None,
            }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--draws", type=int, default=200, help="sets per cell (default %(default)s)")
    parser.add_argument("--folder", type=int, default=10_000, help="pictures of the rate (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default %(default)s)")
    parser.add_argument("--parts", nargs="+", default=["rate", "clean", "power", "jpeg"], help="(default all)")
    options = parser.parse_args()
    began = time.monotonic()
    torch.set_num_threads(1)
    rng = np.random.default_rng(options.seed)
    sources = pools(600, rng) if set(options.parts) - {"rate"} else {}
    others = sources.get("other photographs", [])
    makers: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "rate": lambda: rate_cells(options.folder, rng),  # first: the peak of memory is of the process
        "clean": lambda: clean_cells(sources, options.draws, rng),
        "power": lambda: (cell for db in (-40.0, -46.0) for cell in power_cells(others, options.draws, db, rng)),
        "jpeg": lambda: jpeg_cells(others, max(1, options.draws // 5), rng),
    }
    cells = []
    for part in options.parts:
        for cell in makers[part]():
            cells.append(cell)
            print(cell, file=sys.stderr, flush=True)
    packages = [name for name in PACKAGED if importlib.util.find_spec(name)]
    save({"seed": options.seed, "draws": options.draws, "packages": packages, "cells": cells}, began, options.output)


if __name__ == "__main__":
    main()
