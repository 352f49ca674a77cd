"""Applies a remedy to a trained network and, where asked, fine-tunes it: the one way of studies, command and Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from checkerscope.toolkit import catalog, checks
from checkerscope.toolkit.contracts.remedy import PACKAGE
from checkerscope.toolkit.training import loop
from checkerscope.toolkit.training.engine import Recipe

#: Examples that a remedy is fitted to where it needs data.
FITTED = 64
#: Options that make a remedy with a fit of its own do none, and draw no images for it.
NO_FIT = {"steps": 0, "images": 1}

#: A remedy's name, or a table as in a config: `{"name": "equal_gain", "order": 1}`.
Remedy = str | Mapping[str, Any]


def cure(
    model: nn.Module,
    remedy: Remedy,
    *,
    inputs: Tensor | None = None,
    targets: Tensor | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
) -> nn.Module:
    """Return a cured copy of a trained network, fine-tuned if there is a recipe; the network is left as it was.

    A remedy that can hold its property through further training does so while it is fine-tuned;
    `toolkit.remedies.fold` then bakes the kernels into plain layers.

    Args:
        model: Any module from one map to one map.
        remedy: A name of `checkerscope list remedies`, or a table of the name and the remedy's options.
        inputs: What the network is given, (N, C, *spatial). A remedy finds functional calls on the first, one that
            needs data is fitted to the first 64; a fine-tune takes all.
        targets: What the network should make of them; the inputs themselves by default.
        recipe: Steps, batch, loss and precision of the fine-tune; the weights come back in its precision.
        seed: Of the order of the examples in the fine-tune.

    Raises:
        ValueError: If the remedy or an option is unknown, it does not apply to the network, examples are missing, or
            the fine-tune diverges.

    >>> import torch
    >>> layer = nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)
    >>> flat = cure(layer, "equal_gain")(torch.ones(1, 1, 8, 8))[..., 2:-2, 2:-2]
    >>> bool(flat.std() < 1e-6)
    True
    """
    fine_tuned = recipe is not None and recipe.steps > 0
    cured = applied(model, remedy, inputs=inputs, targets=targets, fine_tuned=fine_tuned)
    if recipe is None or not fine_tuned:
        return cured
    if inputs is None:
        raise checks.mismatch("cure: inputs", "examples to fine-tune on", "none", "pass inputs, or no recipe")
    outcome = loop.train(cured, inputs, recipe, seed=seed, targets=None if targets is inputs else targets)
    if outcome.status != "done":
        got = f"numbers that are not finite at step {outcome.step}"
        raise checks.mismatch("cure", "a fine-tune that ends", got, "use a smaller learning rate")
    return cured.train(model.training)


def applied(
    model: nn.Module,
    remedy: Remedy,
    *,
    inputs: Tensor | None = None,
    targets: Tensor | None = None,
    fine_tuned: bool = False,
) -> nn.Module:
    """Return a copy of a network with a remedy applied, ready for a fine-tune that the caller does if `fine_tuned`.

    Raises:
        ValueError: As `cure`.
    """
    name, options = _read(remedy)
    return _apply(model, name, {**_given(name, inputs, targets, fine_tuned=fine_tuned), **options})


def structure(
    model: nn.Module, remedy: Remedy, *, inputs: Tensor, targets: Tensor | None = None, fine_tuned: bool = False
) -> nn.Module:
    """Return what `applied` returns but for its weights: remedies that fit do no step, and draw no images for it."""
    name, options = _read(remedy)
    known = catalog.describe_one(PACKAGE, name).options
    no_fit = {key: least for key, least in NO_FIT.items() if key in known}
    return _apply(model, name, {**_given(name, inputs, targets, fine_tuned=fine_tuned), **options, **no_fit})


def _read(remedy: Remedy) -> tuple[str, dict[str, Any]]:
    """Return a remedy's name and options.

    Raises:
        ValueError: If it has no such option.
    """
    table = {"name": remedy} if isinstance(remedy, str) else dict(remedy)
    name = str(table.pop("name", ""))
    known = catalog.describe_one(PACKAGE, name).options
    for key in table:
        if key not in known:
            raise ValueError(f"{name} has no option {key!r}; {catalog.closest(key, known)}")
    return name, table


def _given(name: str, inputs: Tensor | None, targets: Tensor | None, *, fine_tuned: bool) -> dict[str, Any]:
    """Return the options that follow from the situation; those of the caller come before them."""
    remedy = catalog.describe_one(PACKAGE, name)
    given: dict[str, Any] = {"keep": True} if fine_tuned and "keep" in remedy.options else {}
    if inputs is not None and "example" in remedy.options:
        given["example"] = inputs[:1]
    if remedy.flags.get("promise") == "needs data" and inputs is not None:
        first = {"inputs": inputs[:FITTED], "targets": None if targets is None else targets[:FITTED]}
        given |= {key: value for key, value in first.items() if key in remedy.options}
    return given


def _apply(model: nn.Module, name: str, options: Mapping[str, Any]) -> nn.Module:
    cured: nn.Module = catalog.load(PACKAGE, name).apply(model, **options)
    return cured
