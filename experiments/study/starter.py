"""A first config for somebody's own folder of images, with a comment on every choice."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from checkerscope.experiments.study.config import RESERVED, Config, validate
from checkerscope.experiments.study.grid import Grid

#: Sides of patches that are tried, in pixels; smaller ones leave no interior once the border is cut off.
SIDES = (64, 32)
#: Patches that are trained on and measured at most.
TRAINED, MEASURED, BATCH = 1000, 32, 16

TEXT = """# Question  Which upsamplers leave a checkerboard on the images of {folder}?
# Command   checkerscope study {file}
# Made by `checkerscope init`; every value may be changed. `checkerscope list` names what there is.

scale = 2                    # factor of every upsampler

[study]
name = "{name}"              # results go to results/{name}
question = "Which upsamplers leave a checkerboard on these images?"
# title = "..."              # of the report; the name by default
# authors = ["..."]          # named on the report

[images]
size = {size}                    # side of the patches that are cut from the images, in pixels

[images.source]
name = "folder"
path = {path}
images = {trained}                # patches at most; leave out for all
# skip_unusable = true       # leave out files that are damaged or too small, instead of stopping
# downscale = 2              # average 2 x 2 pixels first: removes grids that a camera or JPEG left

[network]
name = "autoencoder"         # or "unet"
width = 16                   # channels of the first stage; doubles with every stage
depth = 2                    # stages; a grid can have a period of scale ** depth pixels
latent_channels = 16

[train]
steps = 300                  # enough to see a difference, too few for good images; try 3000 next
batch_size = {batch}
learning_rate = 2e-3         # of Adam, constant
snapshots = [0]              # steps whose weights are measured beside the last ones

[measure]
measures = [
  "tone", "checkerboard_energy", "reconstruction", "radial_spectrum", "average_spectrum", "phase_gain", "overlap_map",
]
images = {measured}                  # held-out patches
margin = {margin}                  # pixels cut off on every side, where padding shows

[grid]                       # every combination is trained, less the exclusions
upsampler = ["nearest_conv", {{ name = "transposed_conv", kernel_size = 4 }}, "pixel_shuffle"]
initializer = ["default", "icnr"]
seed = [0, 1, 2]             # intervals are over seeds: two at least

[[exclude]]                  # ICNR is for sub-pixel layers only
upsampler = ["nearest_conv", "transposed_conv"]
initializer = "icnr"
"""


def text(images: Path, file: Path) -> str:
    """Return a config that trains on a folder of images.

    Args:
        images: The folder.
        file: Where the config will lie; its name names the study.

    Raises:
        ValueError: If the folder has no images in one of its splits, unusable ones, or ones smaller than 32 pixels.
    """
    side, trained, measured = _largest_patches(images)
    filled = TEXT.format(
        folder=_printable(images.name), file=_printable(str(file)), name=name(file.stem), size=side, trained=TRAINED,
        path=json.dumps(str(images.resolve()), ensure_ascii=False), batch=min(BATCH, trained), measured=measured,
        margin=side // 4,
    )  # fmt: skip
    Grid(validate(Config, tomllib.loads(filled), str(file)), str(file))
    return filled


def _largest_patches(images: Path) -> tuple[int, int, int]:
    """Return the side of patches that every image has room for, and how many there are to train on and to measure."""
    from checkerscope.toolkit.images import folder

    for side in SIDES:
        try:
            train, test = (
                folder.load(split, side, path=str(images), images=most)
                for split, most in (("train", BATCH), ("test", MEASURED))
            )
        except ValueError:
            if side == SIDES[-1]:
                raise
        else:
            return side, len(train), len(test)
    raise AssertionError("unreachable: the last side returns or raises")


def name(given: str) -> str:
    """Return a study's name made from that of a file or folder.

    >>> name("My photos (2024)"), name("..."), name("runs")
    ('my-photos-2024', 'images', 'my-runs')
    """
    plain = re.sub(r"[^a-z0-9._-]+", "-", given.lower()).strip("._-")[:60] or "images"
    return f"my-{plain}" if plain in RESERVED else plain


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
