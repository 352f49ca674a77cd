"""The metric audit: defects of known kind and level against every measure, ours and the published ones side by side.

Protocol. A set is a few photographs. Clean sets give each bin of a measure (a scalar is one bin) its mean and standard
deviation; a set's scores are its largest deviations over the bins, upwards and downwards, in standard deviations; each
of the two limits lets 97.5 % of further clean sets pass. A measure *detects* a level if it flags 90 % of the sets at
this level and at all higher ones; its false-positive rate is the share of clean sets *of other photographs* that it
flags. This gives every published curve an ideal observer who knows the clean distribution of each bin. Only
`periodicity_test` decides by itself, at p < 5 %, knowing no clean photographs.

Measures see the images only, not the originals: what is paired (reconstruction error, the residual's tone) changes at
any level, and tells no kind from another.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from checkerscope.analysis import distortions, spectra
from checkerscope.analysis.statistics import periodicity_test
from checkerscope.toolkit import catalog, checks

Floats = NDArray[np.float64]
Respond = Callable[[Tensor], Tensor | float]

#: Of the grids that are looked for: two upsamplings by 2. The lattice has the lines of period 2 too.
PERIOD = 4
LEVELS = tuple(range(-70, 1, 5))
NOMINAL = 0.05
DETECTED = 0.9
COLUMNS = ("measure", "origin", "distortion", "level_db", "sets", "flagged")


@dataclass(frozen=True)
class Candidate:
    """A measure on trial.

    Attributes:
        name: Of its file.
        origin: "ours" or "published".
        respond: Maps images (N, C, H, W) to the measure's bins, or to a p-value if it decides by itself.
        decides: Whether it returns a p-value.
    """

    name: str
    origin: str
    respond: Respond
    decides: bool = False


def candidates(period: int = PERIOD) -> list[Candidate]:
    """Return the grid test, the measures that declare `AUDIT`, and every published one, each kind in order of names.

    `AUDIT` is a literal of a measure's file: `power` says whether it gives linear power, of which the logarithm is
    judged, and `function` names what reads a set of images, if it is not the function of the file's name. A function
    that takes a `period` is given it; what has one row per image is averaged over the images that it is defined for.
    """
    test = Candidate("periodicity_test", "ours", lambda images: periodicity_test(images, period).p_value, decides=True)
    declared = [one for one in catalog.describe("checkerscope.analysis.measures") if "audit" in one.flags]
    published = catalog.describe("checkerscope.analysis.measures.published")
    loaded = [(one, "ours", catalog.load("checkerscope.analysis.measures", one.name)) for one in declared]
    loaded.sort(key=lambda entry: entry[0].flags["audit"]["power"])  # numbers before spectra
    loaded += [(o, "published", catalog.load("checkerscope.analysis.measures.published", o.name)) for o in published]
    return [test, *(Candidate(one.name, origin, _reading(one, module, period)) for one, origin, module in loaded)]


def _reading(component: catalog.Component, module: Any, period: int) -> Respond:
    """Return what is read off a measure for a set of images: what its `AUDIT` says."""
    declared: dict[str, Any] = component.flags.get("audit", {})
    function = getattr(module, declared.get("function", component.name))
    if "period" in inspect.signature(function).parameters:
        function = partial(function, period=period)

    def read(images: Tensor) -> Tensor | float:
        found = function(images)
        if isinstance(found, Tensor) and found.dim() == 2 and len(found) == len(images):
            # a profile of an image without contrast is undefined, and its authors' average would be too
            found = found.nanmean(0)
        return _decibel(found) if declared.get("power") else found

    return read


def _decibel(power: Tensor) -> Tensor:
    """Return 10 log10 of the bins; the removed mean, which is rounding only, is lifted to 120 dB below the largest."""
    return 10 * torch.log10(torch.maximum(power, 1e-12 * power.max()).clamp(min=1e-300))


@dataclass(frozen=True)
class Design:
    """What is injected, and into how many sets.

    Attributes:
        levels: In dB, see `distortions`.
        draws: Sets per level; eight times as many clean sets set the limits, three times as many other ones give the
            false-positive rate.
        size: Images in a set.
        defects: Names of the distortions.
    """

    levels: tuple[float, ...] = LEVELS
    draws: int = 20
    size: int = 16
    defects: tuple[str, ...] = (*distortions.ARTIFACTS, *distortions.OTHERS)


def run(
    images: Tensor,
    *,
    seed: int,
    others: Tensor | None = None,
    design: Design | None = None,
    measures: Sequence[Candidate] | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Return how often each measure flags sets of images, per distortion and level.

    Args:
        images: (N, C, H, W) untouched photographs, N at least twice the size of a set, sides multiples of 8 from 40;
            each is cropped by 8 at a random offset.
        seed: Draws the sets and the noise.
        others: Photographs for the false-positive rate, best of other scenes; the second half of `images` if not given.
        design: What is injected; `Design()` by default.
        measures: `candidates()` by default.
        report: Called with the name of what comes next.

    Returns:
        Columns `measure`, `origin`, `distortion` ("none" for the false-positive rate), `level_db` (NaN for "none"),
        `sets` and `flagged` (a share, 0 to 1).

    Raises:
        ValueError: If there are too few images, or a side is no multiple of 8 or below 40.
    """
    design = design or Design()
    images, others = _pools(images, others, design.size)
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    chosen = candidates() if measures is None else list(measures)
    report("clean photographs")
    clean = list(_sets(images, 8 * design.draws, design.size, rng))
    foreign = list(_sets(others, 3 * design.draws, design.size, rng))
    fresh = list(_sets(images, design.draws, design.size, rng))
    rules = [_rule(candidate, clean) for candidate in chosen]
    rows = [_row(rule, "none", np.nan, foreign) for rule in rules]
    for name in design.defects:
        report(name)
        distort = (distortions.ARTIFACTS | distortions.OTHERS)[name]
        for level in design.levels:
            changed = [distort(x, level, generator) for x in fresh]
            rows += [_row(rule, name, level, changed) for rule in rules]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _pools(images: Tensor, others: Tensor | None, size: int) -> tuple[Tensor, Tensor]:
    checks.integer("size", size, minimum=2)
    for pool in (images, others if others is not None else images):
        spectra.check_finite(spectra.check_images(pool))
        sides = tuple(pool.shape[2:])
        if len(sides) != 2 or any(side % 8 or side < 40 for side in sides):
            raise checks.mismatch("images", "two sides that are multiples of 8, from 40", sides, "crop them")
    if others is None:
        images, others = images[: len(images) // 2], images[len(images) // 2 :]
    if min(len(images), len(others)) < size:
        raise checks.mismatch("images", f"at least {size} on either side", (len(images), len(others)))
    return images, others


def _sets(pool: Tensor, count: int, size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Yield sets of different images, each cropped by 8 pixels at a random offset.

    Patches of one photograph that were cut at multiples of 8 share the phase of its file's own grid; it would count.
    """
    height, width = pool.shape[2] - 8, pool.shape[3] - 8
    for _ in range(count):
        chosen = rng.permutation(len(pool))[:size]
        offsets = rng.integers(8, size=(size, 2))
        crops = [pool[n, :, y : y + height, x : x + width] for n, (y, x) in zip(chosen, offsets, strict=True)]
        yield torch.stack(crops)


@dataclass(frozen=True)
class _Rule:
    """A measure with what it takes to decide."""

    candidate: Candidate
    mean: Floats
    deviation: Floats
    limits: Floats  # upwards, downwards

    def flags(self, images: Tensor) -> bool:
        found = _bins(self.candidate, images)
        if self.candidate.decides:
            return bool(found[0] < NOMINAL)
        return bool((_scores(found, self.mean, self.deviation) > self.limits).any())


def _bins(candidate: Candidate, images: Tensor) -> Floats:
    bins = np.atleast_1d(np.asarray(candidate.respond(images), dtype=np.float64)).ravel()
    if not np.isfinite(bins).all():  # NaN compares as "not flagged", which would pass for a measure that sees nothing
        raise checks.mismatch(candidate.name, "finite bins for a set of images", f"{np.isnan(bins).sum()} NaN")
    return bins


def _scores(bins: Floats, mean: Floats, deviation: Floats) -> Floats:
    """Return the largest deviation upwards and downwards: a logarithm's lower tail must not hide a peak."""
    z = (bins - mean) / deviation
    return np.array([z.max(), -z.min()])


def _rule(candidate: Candidate, clean: Sequence[Tensor]) -> _Rule:
    """Return the rule that clean sets imply: half of them give the bins' distribution, half the limits."""
    if candidate.decides:
        return _Rule(candidate, np.zeros(1), np.ones(1), np.zeros(2))
    bins = np.stack([_bins(candidate, images) for images in clean])
    known, fresh = bins[::2], bins[1::2]
    mean = known.mean(0)
    # a bin that never changes would make any change infinite: rounding is no change
    deviation = np.maximum(known.std(0, ddof=1), 1e-9 * np.abs(mean).max() + 1e-300)
    scores = np.stack([_scores(one, mean, deviation) for one in fresh])
    return _Rule(candidate, mean, deviation, np.quantile(scores, 1 - NOMINAL / 2, axis=0))


def _row(rule: _Rule, distortion: str, level: float, sets: Sequence[Tensor]) -> tuple[object, ...]:
    flagged = float(np.mean([rule.flags(images) for images in sets]))
    return (rule.candidate.name, rule.candidate.origin, distortion, level, len(sets), flagged)


def thresholds(audit: pd.DataFrame) -> pd.DataFrame:
    """Return one row per measure: `origin`, `false_positives`, and the detection threshold in dB per distortion.

    The threshold is where the share of flagged sets crosses 90 %, interpolated; the lowest level if that is above
    already; NaN if the highest level is not detected.

    Args:
        audit: What `run` returned.
    """
    rows = []
    for (measure, origin), part in audit.groupby(["measure", "origin"], sort=False):
        row: dict[str, object] = {"measure": measure, "origin": origin}
        for distortion, found in part.groupby("distortion", sort=False):
            if distortion == "none":
                row["false_positives"] = float(found["flagged"].iloc[0])
            else:
                ordered = found.sort_values("level_db")
                row[str(distortion)] = _crossing(ordered["level_db"].to_numpy(), ordered["flagged"].to_numpy())
        rows.append(row)
    return pd.DataFrame(rows)


def _crossing(levels: Floats, flagged: Floats) -> float:
    below = np.flatnonzero(flagged < DETECTED)
    if not len(below):
        return float(levels[0])
    last = below[-1]
    if last == len(levels) - 1:
        return np.nan
    pair = slice(last, last + 2)
    return float(np.interp(DETECTED, flagged[pair], levels[pair]))
