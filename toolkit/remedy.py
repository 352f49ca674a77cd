"""The remedy contract: what a file in `toolkit/remedies` provides.

A file declares, as literals, `LABEL`, `SOURCE`, `PROMISE` (one of the words below) and `APPLIES_TO` (kinds of layer),
and defines

    apply(module: torch.nn.Module, **own) -> torch.nn.Module

which returns the cured module and leaves the one it was given as it was. Options of its own are keyword-only with
defaults. A module to which it does not apply is refused with a ValueError that says why.
"""

from __future__ import annotations

#: What a remedy may promise of the cured module.
PROMISES = ("exact", "approximate", "needs data", "needs fine-tuning")
PACKAGE = "toolkit.remedies"
