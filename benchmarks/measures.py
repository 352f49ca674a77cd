"""What every measure reads where the answer is known, and the page docs/measures.md that says so.

    OMP_NUM_THREADS=1 python benchmarks/measures.py

Four networks whose artifacts are known, on 64 held-out photographs, seed 0: the identity, bilinear and
nearest-neighbour interpolation by 4, and the identity plus a checkerboard of -40 dB. Writes benchmarks/measures.json
and the page; the page also quotes benchmarks/calibration.json and the records under paper/data, which have commands of
their own. `--page` writes the page alone, from what is committed; `--output FOLDER` writes both there.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.distortions import checkerboard
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.images import photos
from checkerscope.toolkit.networks.autoencoder import Autoencoder

ROOT = Path(__file__).resolve().parent.parent
VALUES, PAGE = ROOT / "benchmarks" / "measures.json", ROOT / "docs" / "measures.md"
COMMAND = "OMP_NUM_THREADS=1 python benchmarks/measures.py"
IMAGES, PERIOD, MARGIN, LEVEL_DB = 64, 4, 8, -40.0
PACKAGE, PUBLISHED = "checkerscope.analysis.measures", "checkerscope.analysis.measures.published"


class Known(nn.Module):
    """A network of known artifacts: interpolation of 4 x 4 means, or the identity, plus a fixed pattern."""

    def __init__(self, upsampler: str, pattern: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        layer: type[Upsampler] = catalog.load("checkerscope.toolkit.upsamplers", upsampler)
        self.upsamplers = nn.ModuleList([layer(3, 3, scale=2) for _ in range(2)])
        self.pattern = pattern

    def encode(self, images: Tensor) -> tuple[Tensor, None]:
        return F.avg_pool2d(images, PERIOD), None

    def decode(self, latents: Tensor, contexts: None = None) -> Tensor:
        for layer in self.upsamplers:
            latents = layer(latents)
        return latents + self.pattern(latents) if self.pattern else latents

    def forward(self, images: Tensor) -> Tensor:
        return images + self.pattern(images) if self.pattern else self.decode(*self.encode(images))


def networks(images: Tensor) -> dict[str, nn.Module]:
    """Return the networks by the title of their column."""
    board = (checkerboard(images, LEVEL_DB, torch.Generator()) - images)[:1, :1].abs().mean()

    def pattern(x: Tensor) -> Tensor:
        rows, columns = (torch.arange(n) for n in x.shape[2:])
        return board * (1.0 - 2 * ((rows[:, None] + columns) % 2))

    return {
        "the images": Known("bilinear", torch.zeros_like),
        "bilinear": Known("bilinear"),
        "nearest": Known("nearest"),
        f"checkerboard, {LEVEL_DB:.0f} dB": Known("bilinear", pattern),
    }


def readings() -> dict[str, dict[str, float | None]]:
    """Return metric to column to value; None where it is undefined or infinite."""
    images = photos.load("test", 64, seed=0, images=IMAGES)
    found: dict[str, dict[str, float | None]] = {}
    for title, network in networks(images).items():
        with torch.no_grad():
            trial = Trial(network, images, network(images), 2, PERIOD, MARGIN)
        for package in (PACKAGE, PUBLISHED):
            for name in catalog.names(package):
                for metric, value in catalog.load(package, name).measure(trial).items():
                    if isinstance(value, float):
                        found.setdefault(metric, {})[title] = value if math.isfinite(value) else None
    return found


def padding() -> dict[str, dict[str, float]]:
    """Return how far padding reaches into the study's autoencoder, by upsampler, untrained and in float64.

    `reach`: pixels from the border beyond which nothing changes by more than 1e-14 when a patch of 64 is cut out of a
    larger one; `beyond_16` and `beyond_20`: largest change there, in image units.
    """
    large = torch.rand(1, 3, 192, 192, generator=torch.Generator().manual_seed(0)).double()
    found = {}
    for name in catalog.names("checkerscope.toolkit.upsamplers"):
        layer = functools.partial(catalog.load("checkerscope.toolkit.upsamplers", name), scale=2)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = Autoencoder(layer, width=8, latent_channels=8).double().eval()
        with torch.no_grad():
            inner = network(large)[..., 64:128, 64:128]
            change = (network(large[..., 64:128, 64:128].contiguous()) - inner).abs().amax((0, 1))
        inside = [float(change[m : 64 - m, m : 64 - m].max()) for m in range(32)]
        reach = max((m + 1 for m in range(32) if inside[m] > 1e-14), default=0)
        found[name] = {"reach": reach, "beyond_16": inside[16], "beyond_20": inside[20]}
    return found


def document() -> dict[str, object]:
    """Return the readings with what they depend on."""
    torch.set_num_threads(1)
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    setting = {"images": IMAGES, "source": "photos, test", "size": 64, "seed": 0, "period": PERIOD, "margin": MARGIN}
    return {"command": COMMAND, "setting": setting, "versions": versions, "readings": readings(), "padding": padding()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="only write the page, from the committed numbers")
    parser.add_argument("--output", type=Path, help="folder for both files, instead of the project's own")
    arguments = parser.parse_args()
    from benchmarks.pages.measures import page
    from checkerscope.experiments.store import disk

    folder = arguments.output
    values, written = (folder / VALUES.name, folder / PAGE.name) if folder else (VALUES, PAGE)
    if arguments.page:
        found = json.loads(VALUES.read_text(encoding="utf-8"))
    else:
        found = document()
        disk.write(values, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    disk.write(written, page(found).encode())
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
