"""The remedy contract: what a file in `toolkit/remedies` provides.

A file declares, as literals, `LABEL`, `SOURCE`, `PROMISE` (one of the words below), `APPLIES_TO` (kinds of layer, in
the words of the audit: "transposed convolution", "sub-pixel shuffle", ...), `COST` (what the cured module costs) and,
where it changes no output, `CURES = False`; and defines

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

#: What a remedy may promise of the cured module.
PROMISES = ("exact", "approximate", "needs data", "needs fine-tuning")
PACKAGE = "checkerscope.toolkit.remedies"
