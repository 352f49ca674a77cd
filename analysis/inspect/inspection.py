"""What an inspection has found, as a record, a sentence and a document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Axes by name: along `rows` the grid differs from row to row (its stripes lie flat), along `columns` across.
AXES = ("rows", "columns")


@dataclass(frozen=True)
class Grid:
    """One grid.

    Attributes:
        kind: "grid", "patch grid" (14 or 16 px, the patches of vision transformers) or "tile seams".
        periods: Pixels from row to row and from column to column; 1 where the grid does not differ.
        strength_db: Root mean square relative to the images' contrast, in dB; None where only the noise differs at it.
        levels: The same in grey levels of 255.
        p_value: That clean images show as much, corrected for all periods and directions tried; at least 1e-300.
        by_period: Strength in dB of the lines that have each smallest period.
        pattern: Values of one period in red, green and blue, (3, rows, columns), in image units.
    """

    kind: str
    periods: tuple[int, int]
    strength_db: float | None
    levels: float
    p_value: float
    by_period: dict[int, float]
    pattern: Floats = field(repr=False)

    @property
    def period(self) -> int | list[int]:
        """One number where both axes have the same period or one has none; else rows and columns."""
        found = [period for period in self.periods if period > 1]
        return found[0] if len(set(found)) == 1 else found

    @property
    def axes(self) -> list[str]:
        """The axes along which the grid differs."""
        return [name for name, period in zip(AXES, self.periods, strict=True) if period > 1]

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, without the pattern."""
        return {
            "kind": self.kind,
            "period": self.period,
            "axes": self.axes,
            "strength_db": rounded(self.strength_db),
            "levels": rounded(self.levels),
            "p_value": self.p_value,
            "by_period": {str(period): rounded(db) for period, db in sorted(self.by_period.items())},
        }


@dataclass(frozen=True)
class Other:
    """Something that has a period and is no fixed grid.

    Attributes:
        kind: "compression", "staircase", "mosaic" or "phase variance".
        period: In pixels.
        p_value: As of a grid; None for a staircase, whose cells are counted and not tested.
        levels: Root mean square in grey levels of 255, where it is a fixed pattern.
    """

    kind: str
    period: int
    p_value: float | None
    levels: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"kind": self.kind, "period": self.period, "p_value": self.p_value, "levels": rounded(self.levels)}


@dataclass(frozen=True)
class ImageStrength:
    """One image's share of the grid.

    Attributes:
        name: Of the image.
        strength_db: The grid in it relative to its own contrast, in dB; None below `floor_db`.
        floor_db: What would have been seen in it by itself; None where there is no grid or no contrast.
        shows: Whether the grid is seen in it by itself.
    """

    name: str
    strength_db: float | None = None
    floor_db: float | None = None
    shows: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "name": self.name,
            "strength_db": rounded(self.strength_db),
            "floor_db": rounded(self.floor_db),
            "shows": self.shows,
        }


@dataclass(frozen=True)
class Exhibit:
    """What a picture of an inspection needs.

    Attributes:
        spectrum: Power of the mean residual in dB over its median, zero frequency in the middle, (side, side).
        log10_p: By period: base-10 logarithm of its own corrected p-value.
        crop: The flattest piece of the worst image, (3, height, width); None without a grid.
        cured: The same less the grid.
    """

    spectrum: Floats = field(repr=False)
    log10_p: dict[int, float]
    crop: Floats | None = field(default=None, repr=False)
    cured: Floats | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Inspection:
    """The answer to "is there a grid in these images?".

    Attributes:
        grids: Fixed grids, strongest first; compression is not among them.
        others: What else has a period.
        p_value: Of the strongest evidence at any period that compression does not explain, corrected for their number.
        periods: Smallest and largest period that was looked for.
        images: Worst first.
        problems: Name and reason of what could not be used.
        limits: What these images cannot tell.
        exhibit: For a picture.
    """

    grids: tuple[Grid, ...]
    others: tuple[Other, ...]
    p_value: float
    periods: tuple[int, int]
    images: tuple[ImageStrength, ...]
    problems: tuple[tuple[str, str], ...]
    limits: tuple[str, ...]
    exhibit: Exhibit = field(repr=False)

    @property
    def grid(self) -> Grid | None:
        """The strongest grid."""
        return self.grids[0] if self.grids else None

    @property
    def shows(self) -> int:
        """Number of images in which the grid is seen by itself."""
        return sum(image.shows for image in self.images)

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        many, grid = _counted(len(self.images), "image"), self.grid
        if grid is None:
            low, high = self.periods
            return f"No grid found in {many} at periods of {low} to {high} px (p = {self.p_value:.2g})."
        what = {"grid": "A grid", "patch grid": "A grid like a transformer's patches", "tile seams": "Tile seams"}
        start = f"{what[grid.kind]} of {_pixels(grid)}, {' and '.join(grid.axes)}, "
        if grid.strength_db is None:
            return f"{start}{_p(grid.p_value)}: pixels differ more across them than elsewhere in {many}."
        strength = f"at {grid.strength_db:.1f} dB of the contrast ({grid.levels:.2g} of 255 grey levels)"
        return f"{start}{strength}, {_p(grid.p_value)}, seen in {self.shows} of {many}."

    def to_dict(self) -> dict[str, Any]:
        """Return one document that JSON can hold."""
        main = self.grid.to_dict() if self.grid else dict.fromkeys(("kind", "period", "strength_db", "levels"))
        return {
            "grid": self.grid is not None,
            "verdict": self.verdict,
            **main,
            "axes": main.get("axes", []),
            "by_period": main.get("by_period", {}),
            "p_value": main.get("p_value", self.p_value),
            "beyond": [grid.to_dict() for grid in self.grids[1:]],
            "others": [other.to_dict() for other in self.others],
            "periods_tried": list(self.periods),
            "shows": self.shows,
            "images": [image.to_dict() for image in self.images],
            "problems": [{"name": name, "reason": reason} for name, reason in self.problems],
            "limits": list(self.limits),
        }


def rounded(value: float | None) -> float | None:
    """Return a number with as many digits as mean something, or None."""
    return None if value is None else float(f"{value:.4g}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _pixels(grid: Grid) -> str:
    found = grid.period
    return f"period {found} px" if isinstance(found, int) else f"period {found[0]} x {found[1]} px"


def _p(value: float) -> str:
    return "p < 1e-99" if value < 1e-99 else f"p = {value:.1g}"
