"""Audit of any network: which layer makes the grid, how strong it is at the output, and what cures it.

One forward pass is watched operator by operator (`analysis.audit.tracing`), so that every enlargement counts, whatever
makes it. Then the model answers flat inputs on a periodic map, where padding has no border: all that its output shows
is a fixed grid, the tone. Making the first 1, 2, ... enlargements' outputs flat as well takes the tone apart into what
each layer makes, and what is left at last (coordinates, learned maps) is none of theirs.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import torch
from torch import nn

from checkerscope.analysis.audit.examination import Examination
from checkerscope.analysis.audit.probing import guard, probes, running, sizes
from checkerscope.analysis.audit.probing.probes import Arguments
from checkerscope.analysis.audit.report import THRESHOLD_DB, Limit, Report
from checkerscope.toolkit import checks


def audit(
    model: nn.Module,
    example_input: Any,
    *,
    spatial_dims: int | None = None,
    threshold_db: float = THRESHOLD_DB,
    threshold_rms: float | None = None,
    seed: int = 0,
) -> Report:
    """Return which layers of `model` enlarge their map and what grid they leave in its output.

    The model runs in eval mode without gradients, about fifteen times and up to three times more per enlargement;
    weights, buffers, mode and all random generators are as before afterwards, also after an exception. On flat inputs
    convolutions and padding are circular, and so the tone hardly depends on the size of the example: a small one is
    enough, and one that is too small for two periods of the grid is made larger. Statistics that the network takes
    over its map and feeds back (normalization, mean and deviation, global pooling) are those of the example there, as
    in a flat region of it. Parts that are compiled run uncompiled.

    *Tone* is the mean square, over phases, of the fixed pattern that the output shows on flat inputs: pixels of the
    example from the darkest to the brightest, each all over. It is given in dB relative to the output's contrast:
    its mean square around the spatial mean on the example or on its pixels at random places, whichever is stronger. So
    a decoder's scale does not matter. The default limit, -50 dB, is 0.3 % of the contrast: in an 8-bit image with a
    standard deviation of 50 levels it is 0.16 levels, which rounding removes.
    Random transposed convolutions leave about 0 dB, trained ones about -40 dB; bilinear and nearest resizes, FIR
    filters with zeros at the alias frequencies and equal phase gains stay below -100 dB in float32.

    Args:
        model: Any module.
        example_input: What it takes: a tensor, a tuple of positional or a dictionary of keyword arguments. Values
            matter: they are the levels of the probes.
        spatial_dims: 1, 2 or 3 where shapes do not tell.
        threshold_db: Limit of the tone for `Report.clean`.
        threshold_rms: Limit in units of the output instead, as 0.5 / 255.
        seed: Of the probes, and of what the model itself draws.

    Raises:
        ValueError: If the model is no module or its weights are not in memory, if it does not take the input, or
            returns no map or values that are not finite; and with the cause whenever else it cannot be audited.

    >>> audit(nn.Upsample(scale_factor=2), torch.rand(1, 3, 16, 16)).clean
    True
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    if not isinstance(model, nn.Module):
        raise checks.mismatch("audit: model", "a torch.nn.Module", type(model).__name__)
    if any(value.is_meta for value in (*model.parameters(), *model.buffers())):
        raise checks.mismatch("audit: model", "weights in memory", "weights on the meta device", "load them first")
    limit = _limit(threshold_db, threshold_rms)
    given = probes.arguments(example_input)
    try:
        with guard.untouched(model, seed=seed):
            dims = _spatial_dims(model, given, spatial_dims, seed)
            return Examination(model, given, dims=dims, limit=limit, seed=seed).report()
    except ValueError:
        raise
    except Exception as error:  # somebody's network does what nobody thought of: never an answer, always a reason
        why = f"{type(error).__name__}: {running.first_line(error)}"
        raise ValueError(f"audit: cannot be judged: {why}; {_HINT}") from error


_HINT = "try a larger example or spatial_dims, or audit the part that ends in the map"


def _limit(decibel: float, rms: float | None) -> Limit:
    for name, value in (("threshold_db", decibel), ("threshold_rms", rms)):
        if value is not None and not isfinite(value):
            raise checks.mismatch(f"audit: {name}", "a finite number", value)
    if rms is not None and not rms > 0:
        raise checks.mismatch("audit: threshold_rms", "a positive number", rms)
    return Limit(decibel, rms)


def _spatial_dims(model: nn.Module, given: Arguments, asked: int | None, seed: int) -> int:
    """Return the number of spatial axes of a model.

    Raises:
        ValueError: If it cannot be told, cannot be meant, or the example has no batch axis.
    """
    output, kernels = running.plain(model, given, seed)
    dims = sizes.spatial_dims(given, output, kernels, asked)
    inputs = probes.inputs(given)
    if kernels and max(kernels) > dims and max(x.dim() for x in inputs) == max(kernels) + 1:
        batched = probes.on_inputs(given, lambda x: x[None])
        with torch.no_grad():
            answer = _tried(model, batched)
        if sizes.is_unbatched(output, answer, max(kernels)):
            shape = tuple(inputs[0].shape)
            raise checks.mismatch("audit: example_input", "a batch axis", shape, f"pass {(1, *shape)}")
    return dims


def _tried(model: nn.Module, given: Arguments) -> Any:
    """Return what a model gives, None if it fails."""
    try:
        args, kwargs = probes.copied(given)
        return model(*args, **kwargs)
    except Exception:
        return None
