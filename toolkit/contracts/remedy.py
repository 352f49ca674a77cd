"""The remedy contract: what a file in `toolkit/remedies` provides, and the one function that applies it.

A file declares, as literals, `LABEL`, `SOURCE`, `PROMISE` (one of the words below), `APPLIES_TO` (kinds of layer, in
the words of the audit: "transposed convolution", "sub-pixel shuffle", ...), `COST` (what the cured module costs) and,
where it changes no output, `CURES = False`, where an audit should try other options than the defaults, `TRIALS` (a
tuple of dictionaries); and defines

    apply(module: torch.nn.Module, **own) -> torch.nn.Module

which returns the cured module and leaves the one it was given as it was. It acts on every enlargement, a layer or a
call; where it cannot act on one of them it refuses, since half a cure leaves a grid, often a stronger one. A module to
which it does not apply is refused with a ValueError that begins with the remedy's name and says why. Options of its
own are keyword-only with defaults. Some have one meaning everywhere, so that studies and the command can give them:

    example           of the module's input (a tensor, a tuple, a dictionary): with it calls in a `forward` are found
                      and not layers alone; by default a flat map that fits the first layer is tried
    inputs, targets   tensors to fit to; a remedy that promises "needs data" refuses to work without `inputs`
    steps             of a fit that the remedy does itself; 0 leaves what it changes of the structure
    keep              hold a property through further training instead of once
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from checkerscope.toolkit import catalog
from checkerscope.toolkit.options import check

#: What a remedy may promise of the cured module.
PROMISES = ("exact", "approximate", "needs data", "needs fine-tuning")
PACKAGE = "checkerscope.toolkit.remedies"
#: Examples that a remedy is fitted to where it needs data.
FITTED = 64
#: Options that make a remedy with a fit of its own do none, and draw no images for it.
NO_FIT = {"steps": 0, "images": 1}

#: A remedy's name, or a table as in a config: `{"name": "equal_gain", "order": 1}`.
Remedy = str | Mapping[str, Any]


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
        ValueError: If the remedy or an option is unknown, it does not apply to the network, or it lacks data.
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
        ValueError: If it has no such option, or one is of another type.
    """
    table = {"name": remedy} if isinstance(remedy, str) else dict(remedy)
    name = str(table.pop("name", ""))
    check(catalog.describe_one(PACKAGE, name), table)
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
