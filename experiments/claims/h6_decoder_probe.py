"""H6: a probe of the decoder without data tells clean from dirty models."""

from __future__ import annotations

import numpy as np

from analysis.measures import decoder_probe
from analysis.measures.detectability import area_under_curve
from analysis.statistics import clustered_rank_correlation
from experiments.claims._autoencoder import Arm, plan, scores, setting, trained, transposed, trial
from experiments.verdict import Number, Verdict, exact, judge, share

LABEL = "H6: a probe without data ranks models"
SOURCE = "this study, hypothesis 6"
KIND = "hypothesis"
STATEMENT = (
    "A probe of the decoder without data (latents of constant images) tells clean from dirty models and ranks the dirty"
    " ones as the tone that is measured on photographs."
)
CLEAN = {"nearest_conv": Arm("nearest_conv"), "bilinear_conv": Arm("bilinear_conv"), "hold": Arm("hold_conv")}
DIRTY = {
    "transposed_k2": transposed(2),
    "transposed_k3": transposed(3),
    "transposed_k4": transposed(4),
    "transposed_k5": transposed(5),
    "sub_pixel": Arm("pixel_shuffle"),
}


def check(budget: str) -> Verdict:
    """Probe models of eight arms and compare with the tone of their residual on held-out photographs."""
    steps, seeds = plan(budget)
    probe = {arm: [_probe(arm, seed, steps) for seed in range(seeds)] for arm in (*CLEAN.values(), *DIRTY.values())}
    clean = [value for arm in CLEAN.values() for value in probe[arm]]
    dirty = [value for arm in DIRTY.values() for value in probe[arm]]
    photo = [scores(arm, seed, steps)["tone.residual_rms"] for arm in DIRTY.values() for seed in range(seeds)]
    labels = [name for name in DIRTY for _ in range(seeds)]
    ranks = clustered_rank_correlation(dirty, photo, labels)
    right = sum(value < min(dirty) for value in clean)
    return Verdict(
        judge(right == len(clean), ranks.low > 0.5),
        {
            "clean_below_all_dirty": share(right, len(clean)),
            "largest_clean": exact(max(clean), "image units", n=len(clean)),
            "smallest_dirty": exact(min(dirty), "image units", n=len(dirty)),
            "rank_correlation_of_dirty": Number(ranks.correlation, "1", ranks.low, ranks.high, ranks.n),
            "rank_correlation_within_arms": exact(ranks.within if np.isfinite(ranks.within) else 0.0),
            "area_under_curve": exact(_area(dirty, clean)),
        },
        setting(steps, seeds)
        + " Tells: every clean model reads less than every dirty one. Ranks: the interval of the rank"
        " correlation (arms resampled) lies above 0.5.",
        "The probe separates clean from dirty models; its ranking of the dirty ones agrees only loosely with the tone"
        " on photographs.",
    )


def _probe(arm: Arm, seed: int, steps: int) -> float:
    return decoder_probe.measure(trial(trained(arm, seed, steps)))["decoder_probe.rms"]


def _area(dirty: list[float], clean: list[float]) -> float:
    import torch

    return area_under_curve(torch.tensor(dirty), torch.tensor(clean))
