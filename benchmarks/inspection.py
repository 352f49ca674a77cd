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
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import zoom

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
PARTS = ["rate", "clean", "power", "jpeg"]
#: Images of a source that sets are drawn from.
POOL = 200
PROJECT = Path(__file__).resolve().parents[1]


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


def pools(count: int, rng: np.random.Generator) -> dict[str, Callable[[], list[Pixels]]]:
    """Return what makes `count` clean images, by source."""

    def tuning() -> list[Pixels]:
        return pool(
            [photos._read(one, 1).astype(np.float64) for one in sum(photos._PHOTOGRAPHS.values(), ())], count, rng
        )

    def checking() -> list[Pixels]:
        pictures = [opened(photos._folder() / name) for name in OTHERS]
        return pool(pictures + [one for name in PACKAGED for one in packaged(name)], count, rng)

    def leaves() -> list[Pixels]:
        return list(dead_leaves.load("test", SIDE, images=count).movedim(1, -1).double().numpy())

    return {"other photographs": checking, "dead leaves": leaves, "photographs that tuned it": tuning}


def eight_bits(image: Pixels) -> NDArray[np.uint8]:
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def looked_at(images: list[Pixels]) -> Inspection:
    """Return the inspection of pictures that were rounded to 8 bits."""
    return inspect([np.moveaxis(eight_bits(image), -1, 0) for image in images], data_range=255)


def drawn(images: list[Pixels], count: int, rng: np.random.Generator) -> list[Pixels]:
    return [images[index] for index in rng.choice(len(images), count, replace=False)]


def clean_cells(draws: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for name, make in pools(POOL, rng).items():
        images = make()
        for count in SETS:
            found = [looked_at(drawn(images, count, rng)) for _ in range(draws)]
            flagged = sum(one.grid is not None for one in found)
            yield {"kind": "clean", "source": name, "images": count, "draws": draws, "flagged": flagged / draws}


def jpeg_cells(images: list[Pixels], draws: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for quality, stored, count in product(QUALITIES, ("jpeg", "png"), (1, 16)):
        colours = [("4:4:4", "4:2:0")[index % 2] for index in range(draws)]
        found = [compressed(drawn(images, count, rng), quality, colour, stored) for colour in colours]
        yield {
            "kind": "jpeg", "quality": quality, "stored as": stored, "images": count, "draws": draws,
            "blamed on an upsampler": sum(one.grid is not None for one in found) / draws,
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
        f"{period} px": (period, ["rows", "columns"], partial(grid, period)) for period in PERIODS
    }
    makers |= {f"{period} px, rows only": (period, ["rows"], partial(rows, period)) for period in (2, 8, 16)}
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
    """Yield how long a folder of pictures of 256 x 256 takes in a process of its own, clean and with a grid.

    One in forty is a picture of its own, the others are copies, which are read and decoded like any other.
    """
    rows, columns = np.indices((256, 256))
    grid = ((rows % 8 == 0) & (columns % 8 == 0)) * 0.05
    for name, pattern_ in {"clean": 0 * grid, "grid of 8 px": grid}.items():
        with tempfile.TemporaryDirectory() as folder:
            for index in range(-(-count // 40)):
                patches = rng.uniform(0.2, 0.8, (12, 12, 3)).astype(np.float32)
                smooth = np.stack(
                    [zoom(plane, 24, order=3)[index % 32 :][:256, :256] for plane in np.moveaxis(patches, -1, 0)], -1
                )
                image = eight_bits(smooth + rng.normal(0, 0.03, (256, 256, 3)) + pattern_[..., None])
                buffer = io.BytesIO()
                Image.fromarray(image).save(buffer, "PNG")
                for copy in range(min(40, count - 40 * index)):
                    (Path(folder) / f"{index}-{copy}.png").write_bytes(buffer.getvalue())
            yield {"kind": "rate", "folder": name, "images": count, "size": [256, 256], **timed(folder)}


def timed(folder: str) -> dict[str, Any]:
    """Return what the command says and takes."""
    command = [sys.executable, "-m", "checkerscope", "inspect", folder, "--json"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": round(seconds, 1), "processor seconds": round(processor, 1), "peak MiB": after.ru_maxrss // 1024,
        "period": found["period"],
    }  # fmt: skip


def cells(part: str, draws: int, folder: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield the cells of one part."""
    if part == "rate":
        yield from rate_cells(folder, rng)
        return
    if part == "clean":
        yield from clean_cells(draws, rng)
        return
    images = pools(POOL, rng)["other photographs"]()
    if part == "power":
        yield from power_cells(images, draws, -40.0, rng)
    else:
        yield from jpeg_cells(images, max(1, draws // 5), rng)


def main() -> None:
    from benchmarks.harness import output

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200, help="sets per cell (default %(default)s)")
    parser.add_argument("--folder", type=int, default=10_000, help="pictures of the rate (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default %(default)s)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="others stay in the file as they are")
    output.add_option(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    place = output.file_in(options.output, "inspection")
    for part in options.parts:
        began, made = time.monotonic(), []
        for cell in cells(part, options.draws, options.folder, np.random.default_rng(options.seed)):
            made.append(cell)
            output.say(str(cell))
            packages = [name for name in PACKAGED if importlib.util.find_spec(name)]
            one = {"seed": options.seed, "packages": packages, **output.cost(began), "cells": made}
            # read again after each cell: another process may have added its own part
            found = json.loads(place.read_text())["parts"] if place is not None and place.exists() else {}
            output.save({"parts": {**found, part: one}}, place, "inspection")


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))
    main()
