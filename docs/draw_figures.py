"""Draw the pictures of README and guides: `python docs/draw_figures.py` (or `make figures`) writes docs/figures/*.png.

Every value becomes a square of whole pixels. A plotting library that resamples would blur checkerboards or invent them.
Figures of a study are those of its report, drawn from its published records.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from checkerscope.analysis.figures._style import encoded
from checkerscope.experiments.store.records import load_records
from checkerscope.experiments.study import packaged
from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.initializer import initialize
from checkerscope.toolkit.geometry import Axis
from checkerscope.toolkit.geometry.overlap import line_counts, spread

FOLDER = Path(__file__).parent / "figures"
Picture = NDArray[np.uint8]

#: File name: chain of (kernel size, stride).
OVERLAP = {
    "overlap_k3s2": [(3, 2)],
    "overlap_k4s2": [(4, 2)],
    "overlap_k3s2_k3s2": [(3, 2), (3, 2)],
    "overlap_k3s2_k4s2": [(3, 2), (4, 2)],
}
#: File name: upsampler, its options, initialization.
FLAT = {
    "flat_transposed_k3": ("transposed_conv", {"kernel_size": 3}, "kaiming_normal"),
    "flat_transposed_k4": ("transposed_conv", {"kernel_size": 4}, "kaiming_normal"),
    "flat_sub_pixel": ("pixel_shuffle", {}, "kaiming_normal"),
    "flat_sub_pixel_icnr": ("pixel_shuffle", {}, "icnr"),
    "flat_nearest_conv": ("nearest_conv", {}, "kaiming_normal"),
    "flat_equal_gain": ("equal_gain_transposed_conv", {}, "kaiming_normal"),
}
#: File name: fixed upsampler.
PHOTO = {f"photo_{name}": name for name in ("nearest", "bilinear", "zero_insertion", "lanczos")}
#: File name: study, figure.
STUDIES = {"quick_artifact_by_arm": ("quick", "artifact_by_arm")}
#: Okabe and Ito's palette, one colour per phase of stride 2.
COLOURS = np.array([(230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167)], dtype=np.uint8)


def magnify(picture: Picture, times: int) -> Picture:
    """Return a picture whose values are squares of `times` x `times` pixels."""
    return picture.repeat(times, 0).repeat(times, 1)


def overlap(chain: list[tuple[int, int]]) -> Picture:
    """Return the taps per output from black (0) to white (most), 6 pixels per output."""
    counts = spread(line_counts([Axis(k, s) for k, s in chain], 24 // 2 ** len(chain)))
    return magnify(np.rint(255 * counts / counts.max()).astype(np.uint8), 6)


def phases(kernel_size: int) -> Picture:
    """Return a kernel's taps in the colours of the phases that they feed at stride 2, 24 pixels per tap."""
    row, column = np.indices((kernel_size, kernel_size)) % 2
    return magnify(COLOURS[2 * row + column], 24)


def flat(name: str, options: dict[str, int], initializer: str) -> Picture:
    """Return what a layer with random weights makes of a constant, border cut off, relative to its RMS; 6 pixels each.

    Grey is 0, white 2.5 times the root mean square. A clean layer gives one shade.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        layer = catalog.load("checkerscope.toolkit.upsamplers", name)(8, 1, scale=2, **options).double()
        initialize(layer, initializer, generator=torch.Generator().manual_seed(1))
        y = layer(torch.ones(1, 8, 20, 20, dtype=torch.float64))[0, 0, 8:-8, 8:-8].numpy()
    y = y / np.sqrt(np.square(y).mean()) * (1 if y.mean() > 0 else -1)
    return magnify(np.rint(np.clip(128 + 51 * y, 0, 255)).astype(np.uint8), 6)


def photo(name: str) -> Picture:
    """Return 32 x 32 pixels of a photograph enlarged four times, two pixels per value."""
    grey = np.asarray(Image.fromarray(data.astronaut()).convert("L"))[56:184, 160:288]
    small = torch.from_numpy(grey.reshape(32, 4, 32, 4).mean((1, 3)) / 255)[None, None]
    large = catalog.load("checkerscope.toolkit.upsamplers", name)(1, 1, scale=4).double()(small)[0, 0].numpy()
    return magnify(np.rint(255 * np.clip(large, 0, 1)).astype(np.uint8), 2)


def study(name: str, figure: str) -> Picture:
    """Return a figure of a study's report."""
    draw = catalog.load("checkerscope.analysis.figures", figure).draw
    drawn = encoded(draw(load_records(packaged.published(name))), ".png")
    return np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))


def pictures() -> dict[str, Picture]:
    """Return every picture of flat squares by file name, without suffix."""
    found = {name: overlap(chain) for name, chain in OVERLAP.items()}
    found |= {f"phases_k{k}": phases(k) for k in (3, 4)}
    found |= {name: flat(*how) for name, how in FLAT.items()}
    return found | {name: photo(upsampler) for name, upsampler in PHOTO.items()}


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, picture in {**pictures(), **{name: study(*which) for name, which in STUDIES.items()}}.items():
        Image.fromarray(picture).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
