"""The method section of a study's report, filled from its config: what was built, trained and measured, and how."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from checkerscope.experiments.study.grid import Grid, component_label, name_of
from checkerscope.experiments.study.spec import NO_CURE, ComponentSpec
from checkerscope.toolkit import catalog

LOSSES = {"mse": "mean squared error", "l1": "mean absolute error", "cross_entropy": "cross-entropy"}
#: Factors that are components, and what they are called.
ARMS = {
    "upsampler": ("Upsamplers", "checkerscope.toolkit.upsamplers"),
    "initializer": ("Initializations", "checkerscope.toolkit.initializers"),
    "cure": ("Cures", "checkerscope.toolkit.remedies"),
}
#: Values of a list up to this many are written out.
MOST_VALUES = 8


def paragraphs(grid: Grid) -> list[dict[str, Any]]:
    """Return the sections of the method: `heading`, `text`, and `items` where something is listed."""
    return [_network(grid), _images(grid), *_arms(grid), _training(grid), _measuring(grid)]


def _network(grid: Grid) -> dict[str, Any]:
    spec = next(iter(grid)).spec
    text = _component(grid, "network", spec.network, "checkerscope.toolkit.networks")
    scale = _varied(grid, "scale") or str(spec.scale)
    only = "Only the upsampler and the values that its kernels start from differ between arms of equal other factors:"
    return {
        "heading": "Network",
        "text": f"{text} Each upsampler enlarges by {scale}. {only} under one seed all other weights start equal, and"
        " the images come in the same order.",
    }


def _images(grid: Grid) -> dict[str, Any]:
    spec = next(iter(grid)).spec
    text = _component(grid, "images.source", spec.images.source, "checkerscope.toolkit.images")
    size = _varied(grid, "images.size") or str(spec.images.size)
    return {
        "heading": "Images",
        "text": f"{text} Patches of {size} by {size} pixels. Images are split before patches are cut: none serves both"
        " training and measuring.",
    }


def _arms(grid: Grid) -> Iterator[dict[str, Any]]:
    for key, (heading, package) in ARMS.items():
        values = [value for value in grid.factors.get(key, ()) if value != NO_CURE]
        if values:
            untouched = " Beside them the trained models as they are." if key == "cure" else ""
            yield {
                "heading": heading,
                "text": f"{len(values)} in this study.{untouched}",
                "items": [_sourced(package, value) for value in values],
            }


def _sourced(package: str, value: Any) -> str:
    source = catalog.describe_one(package, name_of(value)).source
    return component_label(package, value) + (f" ({source})" if source else "")


def _training(grid: Grid) -> dict[str, Any]:
    train = next(iter(grid)).spec.train
    steps, batch, rate = (
        _varied(grid, f"train.{key}") or _plain(getattr(train, key)) for key in ("steps", "batch_size", "learning_rate")
    )
    loss = _varied(grid, "train.loss") or LOSSES[train.loss]
    precision = _varied(grid, "train.precision") or train.precision
    seeds = grid.factors["seed"]
    kept = ", ".join(map(str, train.snapshots)) or "none"
    return {
        "heading": "Training",
        "text": f"{_capital(loss)}, Adam with a constant step size of {rate}, {steps} steps on batches of {batch},"
        f" {precision}. Weights are kept at the end and after steps: {kept}. {len(seeds)}"
        f" seed{'s' * (len(seeds) != 1)}: {_listed(seeds)}; a seed sets the weights at the start and the order of the"
        f" images. {len(grid)} runs in all.{_excluded(grid)}",
    }


def _excluded(grid: Grid) -> str:
    count = len(grid.config.exclude)
    rules = f"{count} rules of the config leave" if count > 1 else "1 rule of the config leaves"
    return f" {rules} combinations out." if count else ""


def _measuring(grid: Grid) -> dict[str, Any]:
    measure = grid.config.measure
    labels = [catalog.describe_one("checkerscope.analysis.measures", name).label for name in measure.measures]
    return {
        "heading": "Measuring",
        "text": f"{measure.images} held-out images, and a margin of {measure.margin} pixels cut off on every side."
        f" Taken of all weights that are kept: {', '.join(labels)}. Intervals are 95 % t intervals over seeds.",
    }


def _component(grid: Grid, section: str, spec: ComponentSpec, package: str) -> str:
    """Return what a component is, with every option, in sentences; several where it is a factor itself."""
    if section in grid.factors:
        return f"Varied: {_listed([_sourced(package, value) for value in grid.factors[section]])}."
    found = catalog.describe_one(package, spec.name)
    entry = catalog.load(package, spec.name)
    entry = entry if inspect.isclass(entry) else entry.load
    keywords = inspect.signature(entry).parameters
    options = {name: keywords[name].default for name in found.options if name in keywords} | spec.options
    said = [
        f"{name.replace('_', ' ')} {_varied(grid, f'{section}.{name}') or _plain(value)}"
        for name, value in options.items()
        if value not in (None, "")
    ]
    about = inspect.cleandoc(entry.__doc__ or "").partition("\n\n")[0] if inspect.isclass(entry) else found.source
    about = " ".join(about.replace("`", "").split()).rstrip(".")
    return f"{found.label}. {_capital(about)}. {_capital(', '.join(said))}." if said else f"{found.label}. {about}."


def _varied(grid: Grid, key: str) -> str:
    """Return the values of a factor, or nothing where the key is none."""
    return _listed(grid.factors[key], "or") if key in grid.factors else ""


def _listed(values: Any, word: str = "and") -> str:
    shown = [_plain(value) for value in values]
    if len(shown) > MOST_VALUES:
        return f"{', '.join(shown[:3])} to {shown[-1]} ({len(shown)} values)"
    return f" {word} ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(name_of(value)).replace("_", " ")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
