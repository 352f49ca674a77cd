"""From what was seen to what is said: one layer's entry, the remedies that fit it, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from checkerscope.analysis.audit import grids
from checkerscope.analysis.audit.report import Cure, Layer
from checkerscope.analysis.audit.tracing.plan import Enlargement
from checkerscope.toolkit import catalog

#: A layer whose own grid is weaker than this is clean; rounding in float32 leaves about -130 dB.
OWN_FLOOR_DB = -60.0


def layer_of(event: Enlargement, output_db: float | None, threshold_db: float, own: float | None = None) -> Layer:
    """Return what is reported of one enlargement.

    Args:
        event: As it was seen.
        output_db: What it adds to the output's tone.
        threshold_db: Limit of the tone.
        own: Share of the grid in its own output on a flat input.
    """
    own_db = None if own is None else grids.decibel(own, 1.0)
    taps = event.taps
    overlap = grids.overlap(taps) if taps is not None else None
    has_gaps = overlap == float("inf")
    is_dirty = own_db is not None and own_db > OWN_FLOOR_DB
    return Layer(
        path=event.path,
        where=event.where,
        kind=event.kind,
        scale=tuple(float(s) for s in event.scale),
        period=event.period,
        kernel=tuple(taps.weight.shape[2:]) if taps is not None and taps.order is None else (),
        overlap=None if has_gaps else overlap,
        gain_spread=grids.gain_spread(taps) if taps is not None else None,
        own_db=own_db,
        output_db=output_db,
        cancelled=is_dirty and output_db is not None and output_db <= threshold_db,
        drifts=event.drifts,
        note="; ".join(note for note in (event.note, "some output pixels get no tap" if has_gaps else "") if note),
        cures=cures_for(event.kind) if is_dirty else (),
    )


def cures_for(kind: str) -> tuple[Cure, ...]:
    """Return the remedies that say they apply to a kind of layer.

    >>> cures_for("no such layer")
    ()
    """
    found = []
    for component in catalog.describe("checkerscope.toolkit.remedies"):
        flags = component.flags
        if kind in flags.get("applies_to", ()) and flags.get("cures", True):
            found.append(Cure(component.name, str(flags.get("promise", "")), str(flags.get("cost", ""))))
    return tuple(found)


def verdict(tone_db: float, threshold_db: float, layers: Sequence[Layer], worst: int | None) -> str:
    """Return one sentence for the whole model; `worst` is the index of the layer that leaves most, if one does."""
    strength = f"at {round(tone_db, 1) + 0.0:.1f} dB" if tone_db > grids.FLOOR_DB else "exactly zero"
    limit = f"(limit {threshold_db:g} dB)"
    if tone_db <= threshold_db:
        cancelled = [layer.name for layer in layers if layer.cancelled]
        also = f"; the grid of {', '.join(cancelled)} is cancelled by later layers" if cancelled else ""
        return f"Clean: on flat inputs the output's grid is {strength} {limit}{also}."
    if worst is None:
        return (
            f"Not clean: the output has a grid {strength} relative to its contrast {limit} that no enlargement makes:"
            " look for a mask, a bias map or a learned map behind them."
        )
    layer = layers[worst]
    names = [cure.name for cure in layer.cures]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    cure = f"; cures that fit: {', '.join(names[:3])}{more}" if names else ""
    return (
        f"Not clean: {layer.name} ({layer.kind}, {layer.geometry}) leaves a grid {strength} relative to the output's"
        f" contrast {limit}{cure}."
    )


def slope_warning(tone_db: float, ramp: Mapping[str, float], threshold_db: float, layers: Sequence[Layer]) -> str:
    """Return a hint where the grid shows on slopes only and a shuffle has its axes in the unusual order."""
    swapped = [layer.name for layer in layers if "order (w h)" in layer.note]
    strength = max(ramp.values(), default=grids.FLOOR_DB)
    if tone_db > threshold_db or not swapped or strength <= threshold_db:
        return ""
    return f" But a grid of {strength:.1f} dB runs across slopes: check the sub-pixel order of {', '.join(swapped)}."
