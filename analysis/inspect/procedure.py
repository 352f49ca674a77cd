"""The inspection: one pass that sums, a search for orders, and a second pass for strengths where there is a grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import exp, log

import numpy as np
import torch

from checkerscope.analysis import spectra
from checkerscope.analysis.inspect import compression, variances
from checkerscope.analysis.inspect.components import PERIODS, Component, Family, Search, families, orders_for, search
from checkerscope.analysis.inspect.inspection import Exhibit, Grid, ImageStrength, Inspection, Other
from checkerscope.analysis.inspect.maps import Maps
from checkerscope.analysis.inspect.orders import LEAST_PERIODS, fit
from checkerscope.analysis.inspect.residuals import residual
from checkerscope.analysis.inspect.seams import LEAST_TILE, seam_p_values
from checkerscope.analysis.inspect.sources import Images, Loaded, Problems, Source, sources
from checkerscope.analysis.inspect.strengths import Samples, Strength
from checkerscope.analysis.inspect.worst import flattest
from checkerscope.toolkit import checks
from checkerscope.toolkit.images._selection import Unusable

Progress = Callable[[str, int, int], object]

#: Periods of common patch embeddings of vision transformers.
PATCHES = (14, 16)
#: An image shows a grid if its share stands so many standard deviations above zero.
SHOWN = 3.0
# Grids beyond the strongest whose strength is measured.
_MOST_GRIDS = 3
# Images of other formats that are searched for the law of JPEG.
_SEARCHED = 32
_LEAST_LOG = log(1e-300)


def inspect(
    images: Images,
    *,
    reference: Images | None = None,
    tile: int | None = None,
    data_range: float = 1.0,
    progress: Progress | None = None,
) -> Inspection:
    """Return whether there is a grid in images, of which period, how strong, and in which images.

    Images are read one at a time and laid on one another at their top left corner; memory does not grow with their
    number. The null hypothesis is that lattice frequencies are no stronger than their neighbours, so that photographs
    with correlated pixels, and images that resemble each other, are no grid: `benchmarks/inspection.json`.

    Args:
        images: A batch (N, C, height, width), a sequence of arrays (C, height, width) of any sizes with one or three
            channels, or paths of folders, files and patterns. At least 16 pixels per side; of sides above 2,048 the
            first 2,048 are looked at. A period needs four times its length.
        reference: As many arrays, or paths whose files pair by name: the difference is judged, relative to the
            contrast of the images.
        tile: Side in pixels of the tiles that the images were made in: their seams are tested.
        data_range: What is white, for arrays: 1 or 255. Files have their own.
        progress: Called with what is done, how many images of it are and of how many.

    Raises:
        ValueError: For arrays of another shape, paths that lead nowhere, or if no image can be used.

    >>> pixels = torch.rand(8, 1, 64, 64, generator=torch.Generator().manual_seed(0)) / 10
    >>> pixels[..., ::4] += 0.02
    >>> found = inspect(pixels)
    >>> found.grid.period, found.grid.axes
    (4, ['columns'])
    """
    if tile is not None:
        checks.integer("inspect: tile", tile, minimum=LEAST_TILE)
    every, problems = sources(images, reference, data_range)
    folder = _Folder(every, problems, progress or (lambda *_: None))
    folder.add_up()
    tone = search(*folder.maps.tone(), folder.maps)
    blamed = _blamed(folder, tone)
    found = families(component for component in tone.components if component not in blamed)[:_MOST_GRIDS]
    # of scattered evidence whose power is none: nobody could see it, and nothing could be taken out of the images
    measured = [(family, s) for family, s in zip(found, _strengths(folder, found), strict=True) if s.rms > 0]
    found, strengths = [family for family, _ in measured], [strength for _, strength in measured]
    grids = [_grid(family, strength, tile) for family, strength in zip(found, strengths, strict=True)]
    if tile and not any(grid.kind == "tile seams" for grid in grids):
        grids += _seams(folder.maps, tile)
    periods = [period for grid in grids for period in grid.periods]
    others = [*_compression(blamed), *variances.others(folder.maps, periods, folder.few())]
    return Inspection(
        grids=tuple(grids),
        others=tuple({other.kind: other for other in reversed(others)}.values()),
        p_value=exp(max(_unexplained(tone, blamed), _LEAST_LOG)),
        periods=(PERIODS[0], max(orders_for(folder.maps.shape), default=PERIODS[0])),
        images=_ranked(folder.usable, strengths),
        problems=tuple(folder.problems),
        limits=_limits(folder),
        exhibit=_exhibit(folder, tone, strengths),
    )


@dataclass
class _Folder:
    """The images, what is known of them after the first pass, and what is wrong with the others."""

    every: list[Source]
    problems: Problems
    progress: Progress
    maps: Maps = field(default_factory=Maps)
    usable: list[Source] = field(default_factory=list)
    tables: list[tuple[int, ...]] = field(default_factory=list)

    def add_up(self) -> None:
        """Sum the residuals of all images.

        Raises:
            ValueError: If none can be used.
        """
        for source, loaded in self._loaded(self.every, "looking"):
            self.maps.add(residual(loaded.image))
            self.usable.append(source)
            self.tables.append(loaded.quantization)
        if not self.usable:
            first = "; ".join(f"{name}: {reason}" for name, reason in self.problems[:3])
            got = f"none, {len(self.problems)} unusable" + (f": {first}" if first else "")
            raise checks.mismatch("inspect: images", "at least one usable image", got, "name other files")

    def again(self) -> Iterator[tuple[Source, Loaded]]:
        """Yield the usable images a second time; one that has gone in between stays in the list as it was."""
        return self._loaded(self.usable, "measuring")

    def few(self) -> Iterator[Loaded]:
        """Yield some images that are no JPEG files, evenly chosen."""
        plain = [source for source, table in zip(self.usable, self.tables, strict=True) if not table]
        for _, loaded in self._loaded(plain[:: max(1, len(plain) // _SEARCHED)][:_SEARCHED], "searching"):
            yield loaded

    def _loaded(self, chosen: list[Source], what: str) -> Iterator[tuple[Source, Loaded]]:
        for index, source in enumerate(chosen):
            try:
                loaded = source.load()
            except Unusable as reason:
                self.problems.append((source.name, str(reason)))
            else:
                yield source, loaded
            self.progress(what, index + 1, len(chosen))


def _blamed(folder: _Folder, tone: Search) -> list[Component]:
    """Return the components that JPEG compression alone may have made."""
    explained = compression.explained(tone.components, compression.mean_step(folder.tables))
    return explained if explained and _is_compressed(folder) else []


def _unexplained(tone: Search, blamed: list[Component]) -> float:
    """Return the strongest evidence of the orders that compression does not explain."""
    left = [p for order, p in tone.by_order.items() if all(one.order % order for one in blamed)]
    return min(left, default=0.0)


def _is_compressed(folder: _Folder) -> bool:
    share = float(np.mean([bool(table) for table in folder.tables]))
    if share < 0.5:
        excesses = [compression.excess(loaded.picture) for loaded in folder.few()]
        share += (1 - share) * float(np.mean([excess > compression.EXCESS for excess in excesses]))
    return share >= 0.5


def _compression(blamed: list[Component]) -> list[Other]:
    if not blamed:
        return []
    period = max(one.order for one in blamed)
    levels = 255 * float(np.sqrt(sum(one.power.max() for one in blamed)))
    return [Other("compression", period, exp(max(min(one.log_p for one in blamed), _LEAST_LOG)), levels)]


def _strengths(folder: _Folder, found: list[Family]) -> list[Strength]:
    samples = [Samples(family) for family in found]
    if samples:
        for _, loaded in folder.again():
            for each in samples:
                each.add(loaded.image, loaded.contrast)
    return [each.strength(folder.maps) for each in samples]


def _grid(family: Family, strength: Strength, tile: int | None) -> Grid:
    kind = "grid"
    if tile in family.periods:
        kind = "tile seams"
    elif set(family.periods) - {1} <= set(PATCHES):
        kind = "patch grid"
    return Grid(
        kind,
        family.periods,
        decibels(strength.rms, strength.contrast),
        255 * strength.rms,
        exp(max(family.log_p, _LEAST_LOG)),
        {order: db for order, rms in strength.by_order.items() if (db := decibels(rms, strength.contrast)) is not None},
        strength.pattern,
    )


def decibels(rms: float, contrast: float) -> float | None:
    """Return 20 log10 of a ratio; None where it has no logarithm."""
    return 20 * float(np.log10(rms / contrast)) if rms > 0 and contrast > 0 else None


def _seams(maps: Maps, tile: int) -> list[Grid]:
    """Return tiles whose seams stand out by the noise at them."""
    p_values = np.array(seam_p_values(maps, tile))
    periods = tuple(tile if p < 0.005 else 1 for p in p_values)
    if max(periods) == 1:
        return []
    p_value = float(min(1.0, 2 * np.nanmin(p_values)))
    return [Grid("tile seams", (periods[0], periods[1]), None, 0.0, p_value, {}, np.zeros((3, 1, 1)))]


def _ranked(usable: list[Source], strengths: list[Strength]) -> tuple[ImageStrength, ...]:
    if not strengths or len(strengths[0].share) != len(usable):
        return tuple(ImageStrength(source.name) for source in usable)
    grid = strengths[0]
    found = []
    for source, share, deviation, contrast in zip(usable, grid.share, grid.deviation, grid.contrasts, strict=True):
        floor = decibels(SHOWN * deviation * grid.rms, contrast)
        shows = bool(share > SHOWN * deviation)
        found.append(ImageStrength(source.name, decibels(share * grid.rms, contrast) if shows else None, floor, shows))
    return tuple(sorted(found, key=lambda image: (not image.shows, -(image.strength_db or 0), image.name)))


def _limits(folder: _Folder) -> tuple[str, ...]:
    side = min(folder.maps.shape)
    found = []
    if len(folder.usable) == 1:
        found.append("One image: a texture or a drawing with a period looks the same as a grid; show more images.")
    if side < LEAST_PERIODS * PERIODS[-1]:
        found.append(f"Sides of {side} px tell periods up to {side // LEAST_PERIODS} px.")
    found.append("Images that were resized or photographed from a screen have no lattice of whole pixels to find.")
    return tuple(found)


def _exhibit(folder: _Folder, tone: Search, strengths: list[Strength]) -> Exhibit:
    residual_sum = fit(folder.maps.tone()[0], 1)
    power = spectra.coefficients(torch.from_numpy(np.ascontiguousarray(residual_sum))[None])[0].abs().square().mean(0)
    level = (power / power.median().clamp(min=1e-30)).clamp(min=1e-6)
    shown = np.asarray(torch.fft.fftshift(10 * level.log10()))
    log10_p = {order: log_p / log(10) for order, log_p in tone.by_order.items()}
    if not strengths:
        return Exhibit(shown, log10_p)
    grid = strengths[0]
    worst = int(np.argmax(grid.share / np.maximum(grid.contrasts, 1e-12)))
    crop, cured = flattest(folder.usable[worst].load(), grid.pattern * max(grid.share[worst], 0.0))
    return Exhibit(shown, log10_p, crop, cured)
