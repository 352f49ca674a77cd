"""The image-source contract: what a file in `toolkit/images` provides.

A file declares, as literals, `LABEL` and `SOURCE`, and defines

    load(split: str, size: int, *, seed: int = 0, **own) -> Tensor

which returns float32 images in [0, 1] of shape (N, C, size, size), channels first. `split` is "train" or "test";
nothing of one split (no photograph, no procedural seed) may appear in the other. Options of its own are keyword-only
with defaults. The same arguments give the same tensor, bit for bit.
"""

from __future__ import annotations

SPLITS = ("train", "test")
PACKAGE = "toolkit.images"
