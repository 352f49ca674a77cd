"""Does a special initialization avoid the checkerboard effect, once the network is trained?"""

from __future__ import annotations

import functools

from checkerscope.experiments.claims._autoencoder import build, fit, judged, plan, scores, setting, transposed
from checkerscope.experiments.claims._compare import below, difference, ratio
from checkerscope.experiments.claims.article._listings import attempt
from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over

LABEL = "Initialization avoids checkerboards"
SOURCE = "founding article, section 4.2"
KIND = "article"
STATEMENT = "Kernels of transposed convolutions need a special initialization, which avoids the checkerboard effect."
#: The listing acts on 2 x 2 kernels only; the others are starts that are clean for 4 x 4.
ARMS = {
    "default_k2": transposed(2),
    "default_k4": transposed(4),
    "bilinear_k4": transposed(4, initializer="bilinear"),
    "icnr_k4": transposed(4, initializer="icnr_transposed"),
}
LISTING = "listing_k2"


def check(budget: str) -> Verdict:
    """Train from the listing's start, from a true bilinear one and from ICNR, and follow the tone on flat images."""
    steps, seeds = plan(budget)
    found = {(name, at): [_scores(name, seed, at) for seed in range(seeds)] for name in NAMES for at in (0, steps)}
    numbers: dict[str, Number] = {}
    for (name, at), by_seed in found.items():
        when = "trained" if at else "start"
        numbers[f"flat_tone_{name}_{when}"] = over([s["tone.flat_rms"] for s in by_seed], "image units")
    tone = {key: [s["tone.flat_rms"] for s in by_seed] for key, by_seed in found.items()}
    for name in SPECIAL:
        default = f"default_{name.rpartition('_')[2]}"
        numbers[f"{name}_over_{default}_trained"] = ratio(tone[name, steps], tone[default, steps])
    for name in NAMES:
        numbers[f"psnr_{name}"] = over([s["psnr"] for s in found[name, steps]], "dB")
    psnr = {name: [s["psnr"] for s in found[name, steps]] for name in (LISTING, "default_k2")}
    numbers["psnr_listing_minus_default_k2"] = difference(psnr[LISTING], psnr["default_k2"], "dB")
    left = [numbers[f"{name}_over_default_{name.rpartition('_')[2]}_trained"] for name in SPECIAL]
    return Verdict(
        judge(max(tone[LISTING, 0]) < 1e-6, *(below(number, 0.1) for number in left)),
        numbers,
        setting(steps, seeds)
        + " Clean at the start: a tone below 1e-6 with the listing's constant kernels. Avoided: after training less"
        " than a tenth of the tone of torch's default start, for the listing's kernels, for true bilinear ones and for"
        " ICNR (intervals of the ratios, paired by seed).",
        "An initialization decides what is there before training; keeping the network clean takes a constraint on its"
        " phase gains, a hold or a fixed interpolation.",
        key=f"{LISTING}_over_default_k2_trained",
    )


NAMES = (*ARMS, LISTING)
SPECIAL = (LISTING, "bilinear_k4", "icnr_k4")


def _scores(name: str, seed: int, steps: int) -> dict[str, float]:
    return scores(ARMS[name], seed, steps) if name in ARMS else _from_listing(seed, steps)


@functools.lru_cache(maxsize=32)
def _from_listing(seed: int, steps: int) -> dict[str, float]:
    network = build(ARMS["default_k2"], seed)
    network.apply(attempt("4.2")[0]["init_weights"])
    return judged(fit(network, seed, steps) if steps else network)
