"""Fuzz: whatever bytes a config or an image consists of, they are read rightly or refused in one line, soon.

    python benchmarks/fuzz.py --minutes 15 --seed 0 --output benchmarks/fuzz.json

Hypothesis draws mutations of good files (bytes flipped, cut, doubled, spliced from other files) and files made from
pieces of the grammar. A config must give a grid that can be counted, or a `ConfigError`; an image must give finite
colours within [0, 1] of the size that its header says, or an `Unusable`. Anything else, a warning or an answer that
takes longer than `SLOW` seconds is a finding, minimised and printed.
"""

from __future__ import annotations

import argparse
import io
import itertools
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

PROJECT = Path(__file__).resolve().parent.parent
#: Seconds of processor time that one input may take.
SLOW = 2.0
#: A picture of 64 megapixels, the most that is decoded, takes up to six; its file may be small.
SLOW_IMAGE = 10.0
#: Inputs per call of Hypothesis; each call has its own seed.
BATCH = 500

#: Keys, names and values of configs, right and wrong ones.
WORDS = (
    "study", "images", "network", "train", "measure", "grid", "exclude", "scale", "name", "question", "source", "size",
    "seed", "width", "steps", "batch_size", "learning_rate", "loss", "precision", "snapshots", "measures", "margin",
    "upsampler", "initializer", "photos", "folder", "autoencoder", "unet", "nearest_conv", "transposed_conv",
    "kernel_size", "default", "icnr", "tone", "path", "options", "train.steps",
)  # fmt: skip

Check = Callable[[bytes], str]


def config_seeds() -> list[bytes]:
    return [path.read_bytes() for path in sorted((PROJECT / "configs").glob("*.toml"))]


def image_seeds() -> list[bytes]:
    generator = np.random.default_rng(0)
    found = []
    for mode, kinds in {
        "RGB": ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"),
        "L": ("PNG", "JPEG", "BMP", "TIFF", "PPM"),
        "P": ("PNG", "GIF", "BMP"),
        "1": ("PNG", "TIFF", "PPM"),
        "RGBA": ("PNG", "TIFF", "WEBP"),
        "LA": ("PNG",),
        "I;16": ("PNG", "TIFF"),
        "CMYK": ("JPEG", "TIFF"),
        "F": ("TIFF",),
    }.items():
        pixels = Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        image = Image.new(mode, (12, 9)) if mode in ("I;16", "F") else pixels.convert(mode)
        for kind in kinds:
            image.save(buffer := io.BytesIO(), format=kind)
            found.append(buffer.getvalue())
    return found


def mutated(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Return good files with a few changes: a byte set, a part cut, doubled, zeroed, or taken from another file."""

    def apply(data: bytes, other: bytes, changes: list[tuple[int, int, int, int]]) -> bytes:
        for kind, at, length, value in changes:
            at %= max(1, len(data))
            part = data[at : at + length]
            new = (bytes([value]), b"", part * 2, bytes(len(part)), other[at : at + length], bytes([value]) * length)
            data = data[:at] + new[kind] + data[at + (1 if kind == 0 else length) :]
        return data

    change = st.tuples(st.integers(0, 5), st.integers(0, 4000), st.integers(1, 64), st.integers(0, 255))
    return st.builds(apply, st.sampled_from(seeds), st.sampled_from(seeds), st.lists(change, min_size=1, max_size=6))


def grammatical() -> st.SearchStrategy[bytes]:
    """Return configs of the right form with any values under right and wrong keys."""
    words = st.sampled_from(WORDS)
    scalar = st.one_of(
        words.map(lambda word: f'"{word}"'), st.integers().map(str), st.floats().map(str),
        st.sampled_from(["true", "1979-05-27", "nan", "-inf", "1e999", "[]", "{}", "0x10", '""', '"\\u0000"']),
        st.text(max_size=8).map(lambda text: repr(text)),
    )  # fmt: skip
    value = st.recursive(
        scalar,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
            st.dictionaries(words, inner, max_size=3).map(
                lambda table: "{" + ", ".join(f'"{k}" = {v}' for k, v in table.items()) + "}"
            ),
        ),
        max_leaves=6,
    )
    good = config_seeds()[0].decode()
    extra = st.lists(st.tuples(words, value), max_size=4).map(lambda rows: "".join(f"{k} = {v}\n" for k, v in rows))

    def replaced(rows: str, lines: list[int], values: list[str]) -> bytes:
        text = good.splitlines()
        for line, new in zip(lines, values, strict=False):
            key, equals, _ = text[line % len(text)].partition("=")
            text[line % len(text)] = f"{key}{equals} {new}" if equals else rows
        return ("\n".join(text) + "\n").encode("utf-8", "surrogatepass")

    return st.builds(replaced, extra, st.lists(st.integers(0, 60), max_size=4), st.lists(value, max_size=4))


def refused(error: Exception) -> str:
    assert str(error), "an error without a message"
    return "refused"


def check_config(folder: Path) -> Check:
    from checkerscope.experiments.study import config
    from checkerscope.experiments.study.grid import Grid

    path = folder / "fuzzed.toml"

    def check(data: bytes) -> str:
        path.write_bytes(data)
        try:
            assert len(Grid(config.read(path), str(path))) >= 0
        except config.ConfigError as error:
            return refused(error)
        return "read"

    return check


def check_image(data: bytes) -> str:
    from checkerscope.toolkit.images._pixels import Unusable, decode, size_of

    try:
        size = size_of(data)
        values = decode(data)
    except Unusable as error:
        refused_in = refused(error)
        assert "\n" not in str(error), "an error of several lines"  # noqa: PT017
        return refused_in
    assert values.shape == (*size, 3), f"the header says {size}, the picture has {values.shape}"
    assert values.dtype == np.float32
    assert np.isfinite(values).all(), "values that are not finite"
    assert values.min() >= 0, "values below 0"
    assert values.max() <= 1, "values above 1"
    return "read"


def fuzz(
    check: Check, inputs: st.SearchStrategy[bytes], minutes: float, first: int, slow: float = SLOW
) -> dict[str, Any]:
    """Try inputs for some time; return how many there were, what became of them, and the findings."""
    outcomes, findings, slowest = Counter[str](), [], 0.0

    def watched(data: bytes) -> None:
        nonlocal slowest
        began = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            outcomes[check(data)] += 1
        took = time.process_time() - began
        slowest = max(slowest, took)
        assert took < slow, f"took {took:.1f} s"

    end, batches = time.monotonic() + 60 * minutes, 0
    for batches in itertools.count(1):
        drawn = settings(
            max_examples=BATCH, deadline=None, database=None, phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck), print_blob=False,
        )  # fmt: skip
        try:
            seed(first + batches)(drawn(given(inputs)(watched)))()
        except Exception as error:
            findings.append(
                f"seed {first + batches}: {type(error).__name__}: {error} {getattr(error, '__notes__', '')}"
            )
        if time.monotonic() > end:
            break
    return {
        "inputs": outcomes.total(), "outcomes": dict(outcomes), "batches": batches,
        "slowest (processor seconds)": round(slowest, 3), "findings": findings[:20],
    }  # fmt: skip


def main() -> int:
    from benchmarks.harness import output

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=15, help="minutes in all, a third for each kind of input")
    parser.add_argument("--seed", type=int, default=0)
    output.add_option(parser)
    options, began = parser.parse_args(), time.monotonic()
    found = {}
    with tempfile.TemporaryDirectory() as name:
        third = options.minutes / 3
        config = check_config(Path(name))
        found["configs, mutated"] = fuzz(config, mutated(config_seeds()), third, options.seed)
        found["configs, grammatical"] = fuzz(config, grammatical(), third, options.seed)
        found["images, mutated"] = fuzz(check_image, mutated(image_seeds()), third, options.seed, SLOW_IMAGE)
    total = sum(kind["inputs"] for kind in found.values())
    output.finish({**output.cost(began), "kinds": found, "inputs": total}, options.output, "fuzz")
    return 1 if any(kind["findings"] for kind in found.values()) else 0


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))
    sys.exit(main())
