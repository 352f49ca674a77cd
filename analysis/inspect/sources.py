"""Images as an inspection wants them, from arrays or files: one at a time, each as often as it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from checkerscope.analysis.inspect.residuals import LEAST_SIDE, MOST_SIDE, Pixels
from checkerscope.toolkit import checks
from checkerscope.toolkit.images import _selection
from checkerscope.toolkit.images._selection import Unusable

Problems = list[tuple[str, str]]
#: What a function takes: arrays or tensors, or paths.
Images = Tensor | Sequence[Any] | str | os.PathLike[str]


@dataclass(frozen=True)
class Loaded:
    """An image to judge.

    Attributes:
        image: (3, height, width) float32, in units in which the whole range is 1; or what a reference leaves of it.
        picture: The image itself, same shape.
        quantization: As `_selection.Picture`.
    """

    image: Pixels
    picture: Pixels
    quantization: tuple[int, ...] = ()

    @property
    def contrast(self) -> float:
        """Root mean square over channels of the picture's standard deviation."""
        return float(np.sqrt(self.picture.reshape(3, -1).var(-1, dtype=np.float64).mean()))


@dataclass(frozen=True)
class Source:
    """One image that is loaded when it is needed.

    Attributes:
        name: Printable.
        load: Raises `Unusable` for a file that is no usable picture.
    """

    name: str
    load: Callable[[], Loaded]


def sources(images: Images, reference: Images | None, data_range: float) -> tuple[list[Source], Problems]:
    """Return the images one by one, and what is no image.

    Raises:
        ValueError: For paths that lead nowhere, a mixture of paths and arrays, or a reference of another kind.
    """
    if _are_paths(images) and (reference is None or _are_paths(reference)):
        return _files(images, reference)
    if _are_paths(images) or (reference is not None and _are_paths(reference)):
        raise checks.mismatch("inspect: reference", "paths for paths, arrays for arrays", type(reference).__name__)
    if not 0 < data_range < float("inf"):
        raise checks.mismatch("inspect: data_range", "a positive number", data_range, "use 1.0 or 255")
    return _arrays(images, reference, data_range), []


def _are_paths(images: Any) -> bool:
    if isinstance(images, str | os.PathLike):
        return True
    if isinstance(images, Tensor | np.ndarray):
        return False
    if not isinstance(images, Sequence) or not len(images):
        raise checks.mismatch("inspect: images", "arrays, tensors or paths", f"{type(images).__name__} of none")
    kinds = {isinstance(one, str | os.PathLike) for one in images}
    if len(kinds) > 1:
        raise checks.mismatch("inspect: images", "paths or arrays", "a mixture of both")
    return kinds.pop()


def _files(images: Any, reference: Any) -> tuple[list[Source], Problems]:
    selection = _selection.select(_listed(images))
    problems = [(problem.name, problem.reason) for problem in selection.problems]
    if reference is None:
        return [Source(one.name, _loader(one.path)) for one in selection.files], problems
    pairs, unpaired = _selection.pair(selection, _selection.select(_listed(reference)))
    problems += [(problem.name, problem.reason) for problem in unpaired]
    return [Source(one.name, _loader(one.path, other.path)) for one, other in pairs], problems


def _listed(paths: Any) -> list[Any]:
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def _loader(path: Path, reference: Path | None = None) -> Callable[[], Loaded]:
    def load() -> Loaded:
        picture = _selection.read(path)
        values = _corner(picture.values)
        if reference is None:
            return Loaded(values, values, picture.quantization)
        other = _corner(_selection.read(reference).values)
        if other.shape != values.shape:
            sizes = " and ".join(f"{each.shape[2]} x {each.shape[1]}" for each in (values, other))
            raise Unusable(f"picture and reference differ in size: {sizes}")
        return Loaded(values - other, values, picture.quantization)

    return load


def _corner(values: Pixels) -> Pixels:
    if min(values.shape[1:]) < LEAST_SIDE:
        raise Unusable(f"{values.shape[2]} x {values.shape[1]} pixels, smaller than {LEAST_SIDE} x {LEAST_SIDE}")
    return values[:, :MOST_SIDE, :MOST_SIDE]


def _arrays(images: Any, reference: Any, data_range: float) -> list[Source]:
    if reference is not None and len(images) != len(reference):
        raise checks.mismatch("inspect: reference", f"{len(images)} images", len(reference), "one for each image")
    found = []
    for index, image in enumerate(images):
        picture = _plain(image, data_range)
        judged = picture if reference is None else picture - _partner(reference[index], picture, data_range)
        found.append(Source(f"image {index}", lambda loaded=Loaded(judged, picture): loaded))  # type: ignore[misc]
    return found


def _partner(image: Any, picture: Pixels, data_range: float) -> Pixels:
    other = _plain(image, data_range)
    if other.shape != picture.shape:
        raise checks.mismatch("inspect: reference", f"shape {picture.shape}", other.shape)
    return other


def _plain(image: Any, data_range: float) -> Pixels:
    """Return an array (channels, height, width) of one or three channels as (3, height, width) float32."""
    values = np.asarray(image.detach().cpu().to(torch.float64) if isinstance(image, Tensor) else image)
    is_shaped = values.ndim == 3 and values.shape[0] in (1, 3) and min(values.shape[1:]) >= LEAST_SIDE
    if not is_shaped or values.dtype.kind not in "iufb":
        raise checks.mismatch(
            "inspect: image",
            f"real numbers of shape (1 or 3, height, width), sides from {LEAST_SIDE}",
            f"{values.dtype} {values.shape}",
            "move the channels to the front",
        )
    if not np.isfinite(values).all():
        raise checks.mismatch("inspect: image", "finite numbers", "NaN or infinity", "drop diverged images")
    scaled = values[:, :MOST_SIDE, :MOST_SIDE].astype(np.float32) / np.float32(data_range)
    return np.ascontiguousarray(np.broadcast_to(scaled, (3, *scaled.shape[1:])))
