"""From what was seen to what is said: one layer's entry, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from checkerscope.analysis.audit import grids
from checkerscope.analysis.audit.grouping import Grouped
from checkerscope.analysis.audit.judging import Judged
from checkerscope.analysis.audit.report import OWN_FLOOR_DB, Layer, Report

#: So near to the limit another example, or another device, decides otherwise.
BORDER_DB = 1.5
#: Layers whose parts together are this much weaker than the tone did not make it.
THEIR_SHARE_DB = 10.0


def layer_of(group: Grouped, output_db: float | None, threshold_db: float, own: float | None = None) -> Layer:
    """Return what is reported of one enlargement.

    Args:
        group: As it was seen, with its repetitions.
        output_db: What it makes of the output's tone.
        threshold_db: Limit of the tone.
        own: Share of the grid in its own output on a flat input.
    """
    event, taps = group.first, group.first.taps
    own_db = None if own is None else grids.decibel(own, 1.0)
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
        times=len(group.events),
    )


def worst_of(layers: Sequence[Layer], tone_db: float) -> int | None:
    """Return the index of the layer that leaves most; None where nothing is left or most is no layer's doing."""
    strengths = [grids.FLOOR_DB if layer.output_db is None else layer.output_db for layer in layers]
    together = 10 * grids.log10(sum(10 ** (strength / 10) for strength in strengths))
    is_theirs = max(strengths) > grids.FLOOR_DB and together > tone_db - THEIR_SHARE_DB
    return strengths.index(max(strengths)) if is_theirs else None


@dataclass(frozen=True)
class Finding:
    """All that the verdict is made of.

    Attributes:
        best: The judged output.
        layers: The enlargements.
        ramp: Grid across slopes by period, in dB.
        content: Grid on varying content by probe and period, in dB.
        texture_db: Grid on the faintest texture; None where it was not asked for.
    """

    best: Judged
    layers: tuple[Layer, ...]
    ramp: Mapping[str, float]
    content: Mapping[str, Mapping[str, float]]
    texture_db: float | None = None

    @property
    def worst(self) -> int | None:
        """Index of the layer that leaves most."""
        return worst_of(self.layers, self.best.tone_db)

    @property
    def is_textured(self) -> bool:
        """Whether the faintest texture shows a grid that flat inputs do not."""
        return self.texture_db is not None and self.texture_db > self.best.limit

    @property
    def is_clean(self) -> bool:
        """Whether nothing lies over the limit."""
        return self.best.tone_db <= self.best.limit and not self.is_textured

    @property
    def judgement(self) -> str:
        """What `Report.judgement` says."""
        tone, limit = self.best.tone_db, self.best.limit
        if self.is_textured:
            return "not clean"
        is_rounding = limit < tone <= self.best.floor_db
        if is_rounding or (abs(tone - limit) <= BORDER_DB and tone > grids.FLOOR_DB):
            return "borderline"
        return "clean" if tone <= limit else "not clean"


def sentence(finding: Finding) -> str:
    """Return one sentence for the whole model, and what qualifies it."""
    return _strength(finding) + _slope_warning(finding) + _content_note(finding)


def _strength(finding: Finding) -> str:
    best, layers = finding.best, finding.layers
    tone_db = best.tone_db
    strength = f"at {round(tone_db, 1) + 0.0:.1f} dB" if tone_db > grids.FLOOR_DB else "exactly zero"
    limit = f"(limit {best.limit:.4g} dB)"
    place = f" before the {best.squash}" if best.output.inside is not None else ""
    if finding.is_textured:
        return (
            f"Not clean: flat inputs show no grid, but with the faintest texture it is {finding.texture_db:.1f} dB of"
            f" what the texture leaves {limit}: the network divides by a deviation of its own map."
        )
    if finding.is_clean:
        cancelled = [layer.name for layer in layers if layer.cancelled]
        also = f"; the grid of {', '.join(cancelled)} is cancelled by later layers" if cancelled else ""
        start = "Borderline, below the limit" if finding.judgement == "borderline" else "Clean"
        return f"{start}: on flat inputs the output's grid{place} is {strength} {limit}{also}{_rounding(best)}."
    start = "Borderline, over the limit" if finding.judgement == "borderline" else "Not clean"
    if finding.worst is None:
        return (
            f"{start}: the output has a grid{place} {strength} relative to its contrast {limit} that no enlargement"
            f" makes: look for a mask, a bias map or a learned map behind them{_rounding(best)}."
        )
    layer = layers[finding.worst]
    return (
        f"{start}: {layer.name} ({layer.kind}, {layer.geometry}) leaves a grid{place} {strength} relative to the"
        f" output's contrast {limit}{_grey(best)}{_rounding(best)}."
    )


def _grey(best: Judged) -> str:
    return f", {best.grey_levels:.3g} grey levels of 255" if best.output.inside is None else ""


def _rounding(best: Judged) -> str:
    """Return a remark where rounding alone could leave a grid over the limit."""
    if best.floor_db <= best.limit:
        return ""
    return f"; rounding in the model's precision alone leaves up to {best.floor_db:.0f} dB: audit it in float32"


def _content_note(finding: Finding) -> str:
    """Return what content shows where flat inputs show no grid."""
    strongest = max((v for values in finding.content.values() for v in values.values()), default=grids.FLOOR_DB)
    if not finding.is_clean or strongest <= finding.best.limit:
        return ""
    return f" On content there is a grid of {strongest:.1f} dB, which follows it: unequal noise of the phases."


def _slope_warning(finding: Finding) -> str:
    """Return a hint where a shuffle has its channels in the unusual order: over slopes it shows, if it is wrong."""
    strength = max(finding.ramp.values(), default=grids.FLOOR_DB)
    swapped = [layer.name for layer in finding.layers if "order (w h)" in layer.note]
    if swapped and strength > finding.best.limit:
        but = " But a" if finding.is_clean else " A"
        return f"{but} grid of {strength:.1f} dB runs across slopes: check the sub-pixel order of {', '.join(swapped)}."
    regrouped = [layer.name for layer in finding.layers if "order DCR" in layer.note]
    if regrouped and not finding.is_clean:
        return f" If its weights come from another framework, check the channel order (DCR) of {', '.join(regrouped)}."
    return ""


def with_seams(report: Report, seam_db: float | None, where: Sequence[str]) -> Report:
    """Return the report with what is to be said of tiles; None if there are none."""
    if seam_db is None:
        return report
    place = ", ".join(where[:3]) + (f" and {len(where) - 3} more" if len(where) > 3 else "")
    if seam_db <= report.threshold_db:
        verdict = f"{report.verdict} The map is worked on in tiles ({place}) without seams."
        return replace(report, verdict=verdict, seam_db=seam_db)
    seams = f"the map is worked on in tiles and put together ({place}), with seams of {seam_db:.1f} dB of its contrast"
    if report.clean:
        verdict = f"Not clean: {seams} (limit {report.threshold_db:.4g} dB); its enlargements leave no grid."
    else:
        verdict = f"{report.verdict} And {seams}."
    return replace(report, clean=False, judgement="not clean", verdict=verdict, seam_db=seam_db)
