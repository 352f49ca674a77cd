"""The article's last sentence: down, process, transposed convolution, bilinear, for large segmentations."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.cost import inference_cost
from checkerscope.experiments.claims._autoencoder import Arm, transposed
from checkerscope.experiments.claims._compare import above, difference
from checkerscope.experiments.claims.article._cost import saved_bytes
from checkerscope.experiments.claims.article._uses import CLASSES, WIDTH, factory, flat_tone, mean_iou, scenes
from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, over, pick, seeded
from checkerscope.toolkit.networks.unet import UNet
from checkerscope.toolkit.training import loop
from checkerscope.toolkit.training.engine import Recipe

LABEL = "Halve, process, transpose, interpolate"
SOURCE = "founding article, section 4.3"
KIND = "article"
STATEMENT = (
    "To segment large images, shrink them to a middle size, process them, enlarge with transposed convolution and"
    " finally with bilinear interpolation: it saves computation and memory, at about the quality of full size."
)
SIDE = 64
#: Quality that counts as the same, in intersection over union.
ABOUT = 0.02
TRANSPOSED, NEAREST = transposed(2), Arm("nearest_conv")
ARMS = {"full_size": (TRANSPOSED, 1), "as_advised": (TRANSPOSED, 2), "advised_with_nearest_conv": (NEAREST, 2)}


class Shrunk(nn.Module):
    """A U-Net between an average pooling and a bilinear enlargement of its logits; factor 1 is the U-Net alone."""

    def __init__(self, arm: Arm, factor: int) -> None:
        super().__init__()
        self.unet, self.factor = UNet(factory(arm), out_channels=CLASSES, width=WIDTH), factor

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of the images' size."""
        if self.factor == 1:
            return self.unet(images)
        logits = self.unet(F.avg_pool2d(images, self.factor))
        return F.interpolate(logits, scale_factor=self.factor, mode="bilinear")


def check(budget: str) -> Verdict:
    """Train a U-Net at full size, as advised, and as advised but with nearest + convolution inside."""
    steps, seeds = pick(budget, smoke=15, full=250), pick(budget, smoke=2, full=5)
    quality: dict[str, list[float]] = {}
    numbers: dict[str, Number] = {}
    for name in ARMS:
        models = [_trained(name, seed, steps) for seed in range(seeds)]
        quality[name] = [_iou(model) for model in models]
        numbers[f"iou_{name}"] = over(quality[name], "fraction")
        numbers[f"flat_tone_{name}"] = over([flat_tone(model, 8, side=160, inner=32) for model in models], "logits")
        numbers |= {f"{cost}_{name}": number for cost, number in _costs(name).items()}
    kept = difference(quality["as_advised"], quality["full_size"], "intersection over union")
    other = difference(quality["advised_with_nearest_conv"], quality["as_advised"], "intersection over union")
    saved = {cost: numbers[f"{cost}_full_size"].value / numbers[f"{cost}_as_advised"].value for cost in COSTS}
    numbers |= {"advised_minus_full_size": kept, "nearest_conv_minus_transposed": other}
    numbers |= {f"{cost}_saved": exact(value, "times") for cost, value in saved.items()}
    return Verdict(
        judge(min(saved.values()) > 2, above(kept, -ABOUT), not above(other, 0)),
        numbers,
        f"U-Net of two stages and 8 channels, kernel 2 as in section 4.1, on scenes of {SIDE} x {SIDE} with leaves of"
        f" four classes and noise; {steps} steps of Adam, {seeds} seeds, 64 other scenes. Saves: more than half of the"
        f" multiply-accumulates and of the bytes kept for training. About the quality: at most {ABOUT} of intersection"
        " over union lost (interval of the difference, paired by seed). Transposed convolution: nearest + convolution"
        " in its place is not better.",
        "Shrinking the image saves about its area's share of everything; what it costs in quality has to be measured on"
        " the task, and which upsampler stands inside is not what decides.",
        key="advised_minus_full_size",
    )


COSTS = ("macs", "bytes_kept")


def _trained(name: str, seed: int, steps: int) -> Shrunk:
    with seeded(seed):
        model = Shrunk(*ARMS[name])
    images, classes = _scenes("train", 300)
    target = F.one_hot(classes, CLASSES).movedim(-1, 1).float()
    outcome = loop.train(model, images, Recipe(steps, 8, 3e-3, loss="cross_entropy"), seed=seed, targets=target)
    if outcome.status != "done":
        raise ValueError(f"{name}: expected training to end, got {outcome.status} at step {outcome.step}")
    return model.eval()


@functools.lru_cache(maxsize=2)
def _scenes(split: str, images: int) -> tuple[Tensor, Tensor]:
    return scenes(split, images, SIDE)


def _iou(model: Shrunk) -> float:
    images, classes = _scenes("test", 64)
    with torch.no_grad():
        return mean_iou(model(images), classes)


def _costs(name: str) -> dict[str, Number]:
    image = torch.zeros(1, 3, SIDE, SIDE)
    with seeded(0):
        model = Shrunk(*ARMS[name])
    return {
        "macs": exact(inference_cost(model, image).macs / 1e6, "million"),
        "bytes_kept": exact(saved_bytes(model, image), "bytes"),
    }
