"""What training does to tones, in signals, in silence and out of distribution."""

from __future__ import annotations

import torch

from checkerscope.analysis.measures.tone import tone
from checkerscope.experiments.claims._compare import above, below, ratio
from checkerscope.experiments.claims.landmarks._audio import PERIOD, plan, signals, trained
from checkerscope.experiments.verdicts.contract import Number, Verdict, judge, over

LABEL = "Training removes tones, silence brings them back"
SOURCE = "Pons 2021, arXiv:2010.14356, section 6"
KIND = "landmark"
THEIR_SETTING = "Demucs and variants on music; informal listening."
OUR_SETTING = "Autoencoders of two stages of factor 4 on toy audio; tone on signals, in silence and on an offset."
STATEMENT = (
    "Training overcomes most of the tones of transposed convolutions, but they can emerge in silent parts and with data"
    " unlike the training data; nearest and linear interpolation do not have this disadvantage."
)
ARMS = {"transposed": "transposed_conv", "nearest": "nearest_conv", "linear": "bilinear_conv"}


def check(budget: str) -> Verdict:
    """Train small autoencoders on toy audio and measure the tone of their output at three kinds of input."""
    steps, seeds = plan(budget)
    found = {
        (name, at): [_tones(arm, seed, at) for seed in range(seeds)] for name, arm in ARMS.items() for at in (0, steps)
    }
    numbers: dict[str, Number] = {}
    for (name, at), by_seed in found.items():
        when = "trained" if at else "start"
        numbers |= {
            f"{kind}_{name}_{when}": over([t[kind] for t in by_seed], "of the output's RMS") for kind in by_seed[0]
        }
    start, end = ([t["signals"] for t in found["transposed", at]] for at in (0, steps))
    numbers["transposed_trained_over_start"] = fell = ratio(end, start)
    quiet = {name: [t["silence"] for t in found[name, steps]] for name in ARMS}
    numbers["silence_transposed_over_nearest"] = left = ratio(quiet["transposed"], quiet["nearest"])
    odd = {name: [t["offset"] for t in found[name, steps]] for name in ARMS}
    numbers["offset_transposed_over_nearest"] = beyond = ratio(odd["transposed"], odd["nearest"])
    return Verdict(
        judge(below(fell, 0.5), above(left, 10) and above(beyond, 10)),
        numbers,
        f"Toy audio (decaying sinusoids with silences), two stages of factor 4, kernel 8, {steps} steps, {seeds} seeds"
        " (the paper: Demucs on music, informal listening). Tone: RMS of the phase means of period 16 of the output on"
        " signals, on zeros and on a constant of 2, twice the loudest signal, over the RMS of the output on signals."
        " Most: less than half of the start is left. Emerge: more than ten times the tone of nearest + convolution.",
        f"Training leaves {fell.value:.2f} times the tone that signals had at the start; silence and offsets show a"
        " tone with transposed convolution and none with nearest or linear interpolation.",
        key="silence_transposed_over_nearest",
    )


def _tones(upsampler: str, seed: int, steps: int) -> dict[str, float]:
    """Return the tone at each kind of input over the RMS of the output on signals: an untrained output is faint."""
    network = trained(upsampler, seed, steps)
    x = signals(256, seed=1)
    inside = slice(4 * PERIOD, -4 * PERIOD)  # zero padding reaches about two periods
    with torch.no_grad():
        output = network(x)
        silence, offset = (network(torch.full((1, 1, 512), level)) for level in (0.0, 2.0))
    found = {"signals": output, "silence": silence, "offset": offset}
    level = float(output[..., inside].square().mean().sqrt())
    return {name: tone(y[..., inside], PERIOD) / level for name, y in found.items()}
