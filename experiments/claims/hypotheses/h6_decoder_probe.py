"""H6: a probe of the decoder without data tells clean from dirty models."""

from __future__ import annotations

import math

import pandas as pd

from checkerscope.analysis.measures import cycled_tone, decoder_probe
from checkerscope.analysis.tables import probe_agreement
from checkerscope.experiments.claims._autoencoder import Arm, plan, setting, trained, transposed, trial
from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, share

LABEL = "H6: a probe without data ranks models"
SOURCE = "this study, hypothesis 6"
KIND = "hypothesis"
STATEMENT = (
    "A probe of the decoder without data (latents of constant images) tells clean from dirty models and ranks the dirty"
    " ones as the tone that is measured on photographs."
)
ARMS = {
    "nearest_conv": Arm("nearest_conv"),
    "bilinear_conv": Arm("bilinear_conv"),
    "hold": Arm("hold_conv"),
    "equal_gain": Arm("equal_gain_transposed_conv", (("kernel_size", 4),)),
    "separable": Arm("separable_transposed_conv"),
    "transposed_k2": transposed(2),
    "transposed_k3": transposed(3),
    "transposed_k4": transposed(4),
    "transposed_k4_bilinear": transposed(4, initializer="bilinear"),
    "transposed_k5": transposed(5),
    "sub_pixel": Arm("pixel_shuffle"),
    "sub_pixel_icnr": Arm("pixel_shuffle", initializer="icnr"),
}
AGREED, RANKED = 0.98, 0.8


def check(budget: str) -> Verdict:
    """Probe models of twelve arms and compare with the tone that they leave on held-out photographs."""
    steps, seeds = plan(budget)
    table = pd.DataFrame([_model(name, seed, steps) for name in ARMS for seed in range(seeds)])
    same, ranks = probe_agreement.agreement(table), probe_agreement.ranks(table)
    return Verdict(
        judge(same.same / same.models >= AGREED, ranks.correlation >= RANKED),
        {
            "agreement": share(same.same, same.models),
            "rank_correlation_of_dirty": _number(ranks.correlation, ranks.low, ranks.high, ranks.n),
            "rank_correlation_within_arms": _number(ranks.within, n=ranks.n),
            "area_under_curve": exact(probe_agreement.area(table), n=len(table)),
            "threshold": exact(decoder_probe.DIRTY, "image units"),
        },
        setting(steps, seeds)
        + " Tells: at least 98 % of the models lie on the same side of the rounding error of 8-bit images in both"
        " readings. Ranks: the rank correlation of those above it on photographs is at least 0.8 (interval: arms"
        " resampled).",
        "The probe tells clean from dirty models; its ranking of the dirty ones agrees only loosely with the tone on"
        " photographs.",
        key="agreement",
    )


def _model(name: str, seed: int, steps: int) -> dict[str, str | float]:
    seen = trial(trained(ARMS[name], seed, steps))
    return {
        "arm": name,
        "probe": decoder_probe.measure(seen)["decoder_probe.rms"],
        "photographs": cycled_tone.measure(seen)["cycled_tone.rms_unbiased"],
    }


def _number(value: float, low: float = math.nan, high: float = math.nan, n: int = 1) -> Number:
    """Return a correlation; one that is undefined, with too few or equal models, counts as none."""
    value = 0.0 if math.isnan(value) else value
    if math.isnan(low) or math.isnan(high):
        return exact(value, n=n)
    return Number(value, "1", low, high, n)
