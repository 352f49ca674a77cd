"""Every component of the catalogue with its source, read from the files."""

from __future__ import annotations

import pandas as pd

from checkerscope.analysis.records import Records
from checkerscope.toolkit import catalog

LABEL = "Components and their sources"
CAPTION = "Upsamplers and initializations of the catalogue, as their files declare them."
SCOPE = "catalog"
KINDS = {"upsampler": "checkerscope.toolkit.upsamplers", "initialization": "checkerscope.toolkit.initializers"}


def build(records: Records) -> pd.DataFrame:
    """Return one row per component; the study's records play no part."""
    rows = [
        {"kind": kind, "name": c.name, "label": c.label, "properties": _properties(c.flags), "source": c.source}
        for kind, package in KINDS.items()
        for c in catalog.describe(package)
    ]
    return pd.DataFrame(rows)


def _properties(flags: dict[str, object]) -> str:
    words = [word for word in ("linear", "convex") if flags.get(word)]
    if flags.get("needs_context"):
        words.append(f"needs {flags['needs_context']}")
    if flags.get("layouts") and "linear" not in flags:
        words += [str(layout) for layout in flags["layouts"]]  # type: ignore[attr-defined]
    return ", ".join(words)
