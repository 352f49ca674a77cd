"""Cures a trained network: applies a remedy and, where asked, fine-tunes it."""

from __future__ import annotations

from torch import Tensor, nn

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.remedy import Remedy, applied
from checkerscope.toolkit.training import loop
from checkerscope.toolkit.training.engine import Recipe


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
