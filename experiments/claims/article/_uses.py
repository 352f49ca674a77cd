"""The article's three methods in the uses that its table names: activation maps, autoencoder, segmentation.

In each use only the upsampler differs. Scenes of leaves of four classes serve the first and the last (the label of a
scene is the class that covers most of it), photographs the autoencoder.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.cost import inference_cost
from checkerscope.analysis.measures.segmentation import segmentation
from checkerscope.analysis.measures.tone import LEVELS, tone
from checkerscope.experiments.claims import _autoencoder
from checkerscope.experiments.claims._autoencoder import Arm, transposed
from checkerscope.experiments.claims._compare import above, difference
from checkerscope.experiments.claims.article._cost import saved_bytes
from checkerscope.experiments.verdicts.contract import Number, exact, over, pick, seeded
from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.images import labelled_leaves
from checkerscope.toolkit.networks.autoencoder import Autoencoder
from checkerscope.toolkit.networks.unet import UNet
from checkerscope.toolkit.training import loop
from checkerscope.toolkit.training.engine import Recipe

SIDE, WIDTH, PERIOD, CLASSES = 32, 8, 4, labelled_leaves.CLASSES
#: The methods of the table; the transposed convolution is the article's own (k=3, s=2, p=1, output_padding=1).
METHODS = {"bilinear": Arm("bilinear"), "unpooling": Arm("max_unpool"), "transposed": transposed(3)}
USES = {"activation_map": ("auc", "area under the ROC curve"), "segmentation": ("iou", "fraction")}


class ActivationMaps(nn.Module):
    """A classifier whose class maps have the image's size: their means are the logits, themselves what is shown."""

    def __init__(self, arm: Arm) -> None:
        super().__init__()
        self.features = Autoencoder(factory(arm), width=WIDTH, latent_channels=2 * WIDTH)
        self.features.final = nn.Conv2d(WIDTH, CLASSES, 1)

    def maps(self, images: Tensor) -> Tensor:
        """Return class activation maps, (N, classes, H, W)."""
        found: Tensor = self.features(images)
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (N, classes, 1, 1)."""
        return self.maps(images).mean((2, 3), keepdim=True)


def factory(arm: Arm) -> Any:
    """Return what builds an arm's upsampler from channels."""
    component: type[Upsampler] = catalog.load("checkerscope.toolkit.upsamplers", arm.upsampler)
    return functools.partial(component, **dict(arm.options))


def network(use: str, method: str) -> nn.Module:
    """Return an untrained network; draws from torch's global generator."""
    arm = METHODS[method]
    if use == "activation_map":
        return ActivationMaps(arm)
    if use == "segmentation":
        return UNet(factory(arm), out_channels=CLASSES, width=WIDTH)
    return Autoencoder(factory(arm), width=WIDTH, latent_channels=WIDTH)


def scenes(split: str, images: int, side: int = SIDE) -> tuple[Tensor, Tensor]:
    """Return scenes, (N, 3, side, side), and the class of every pixel, (N, side, side)."""
    return labelled_leaves.load(split, side, images=images), labelled_leaves.labels(split, side, images=images)


@functools.lru_cache(maxsize=32)
def trained(use: str, method: str, seed: int, steps: int, images: int) -> nn.Module:
    """Return a network after some steps on as many scenes, in evaluation mode."""
    with seeded(seed):
        model = network(use, method)
    shown, classes = _scenes("train", images)
    target = F.one_hot(classes, CLASSES).movedim(-1, 1).float()
    if use == "activation_map":
        target = F.one_hot(target.sum((2, 3)).argmax(1), CLASSES)[..., None, None].float()
    outcome = loop.train(model, shown, Recipe(steps, 16, 3e-3, loss="cross_entropy"), seed=seed, targets=target)
    if outcome.status != "done":
        raise ValueError(f"{use}, {method}: expected training to end, got {outcome.status} at step {outcome.step}")
    return model.eval()


_scenes = functools.lru_cache(maxsize=4)(scenes)


def plan(budget: str) -> tuple[int, int, int]:
    """Return steps, seeds and training scenes."""
    return pick(budget, smoke=40, full=300), pick(budget, smoke=2, full=5), pick(budget, smoke=64, full=600)


def compare(use: str, budget: str) -> tuple[dict[str, list[float]], dict[str, Number]]:
    """Return the quality of each method by seed, and all numbers: quality, grid on flat images, cost."""
    steps, seeds, images = plan(budget)
    name, unit = USES[use]
    quality: dict[str, list[float]] = {}
    numbers: dict[str, Number] = {}
    for method in METHODS:
        models = [trained(use, method, seed, steps, images) for seed in range(seeds)]
        quality[method] = [_quality(use, model) for model in models]
        numbers[f"{name}_{method}"] = over(quality[method], unit)
        numbers[f"flat_tone_{method}"] = over([_flat_tone(model) for model in models], "logits")
    return quality, numbers | costs(use)


def compare_autoencoders(budget: str) -> tuple[dict[str, list[float]], dict[str, Number]]:
    """Return the same of the study's autoencoder."""
    steps, seeds = _autoencoder.plan(budget)
    quality: dict[str, list[float]] = {}
    numbers: dict[str, Number] = {}
    for method, arm in METHODS.items():
        quality[method] = _autoencoder.column(arm, "psnr", steps=steps, seeds=seeds)
        flat = _autoencoder.column(arm, "tone.flat_rms", steps=steps, seeds=seeds)
        numbers[f"psnr_{method}"] = over(quality[method], "dB")
        numbers[f"flat_tone_{method}"] = over(flat, "image units")
    return quality, numbers | costs("autoencoder")


def costs(use: str) -> dict[str, Number]:
    """Return parameters, multiply-accumulates and the bytes kept for training of each network, for one image."""
    found: dict[str, Number] = {}
    image = torch.zeros(1, 3, SIDE, SIDE)
    for method in METHODS:
        with seeded(0):
            model = network(use, method)
        cost = inference_cost(model, image)
        found[f"parameters_{method}"] = exact(cost.parameters)
        found[f"macs_{method}"] = exact(cost.macs / 1e6, "million")
        found[f"bytes_kept_{method}"] = exact(saved_bytes(model, image), "bytes")
    return found


def unbeaten(quality: dict[str, list[float]], method: str, unit: str) -> tuple[list[bool], dict[str, Number]]:
    """Return, for each other method, whether it is not better by its whole interval, and these differences."""
    gains = {
        f"{other}_minus_{method}": difference(quality[other], quality[method], unit)
        for other in METHODS
        if other != method
    }
    return [not above(gain, 0) for gain in gains.values()], gains


def _quality(use: str, model: Any) -> float:
    shown, classes = _scenes("test", 64)
    with torch.no_grad():
        if use == "segmentation":
            return mean_iou(model(shown), classes)
        maps = model.maps(shown)
    # each image shows the map of the class that covers most of it
    main = F.one_hot(classes, CLASSES).sum((1, 2)).argmax(1)
    wanted = [(k, i) for i, k in enumerate(main.tolist()) if 0 < (classes[i] == k).sum() < classes[i].numel()]
    scores = [roc_area(maps[i, k].flatten(), (classes[i] == k).flatten()) for k, i in wanted]
    return sum(scores) / len(scores)


def mean_iou(logits: Tensor, classes: Tensor) -> float:
    """Return the intersection over union, averaged over the classes that occur."""
    return float(segmentation(logits.argmax(1), classes, classes=CLASSES).nanmean())


def roc_area(scores: Tensor, positive: Tensor) -> float:
    """Return the chance that a positive scores above a negative, ties counted half.

    >>> roc_area(torch.tensor([0.1, 0.9, 0.5]), torch.tensor([False, True, True]))
    1.0
    >>> roc_area(torch.tensor([0.5, 0.5]), torch.tensor([False, True]))
    0.5
    """
    _, place, counts = scores.unique(return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0) - (counts - 1) / 2)[place].double()
    hits, misses = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))


def _flat_tone(model: Any) -> float:
    """Return the grid in maps of constant images, RMS over levels, in logits."""
    maps = model.maps if isinstance(model, ActivationMaps) else model
    return flat_tone(maps, PERIOD, side=80, inner=16)


def flat_tone(network: Callable[[Tensor], Tensor], period: int, *, side: int, inner: int) -> float:
    """Return the RMS over levels of the grid that a network makes of constant images, in the middle `inner` pixels."""
    flat = torch.tensor(LEVELS).reshape(-1, 1, 1, 1).expand(-1, 3, side, side)
    middle = slice((side - inner) // 2, (side + inner) // 2)
    with torch.no_grad():
        inside = network(flat)[..., middle, middle]
    return root_mean_square([tone(image[None], period) for image in inside])


def root_mean_square(values: Sequence[float]) -> float:
    """Return the root of the mean square."""
    return (sum(value**2 for value in values) / len(values)) ** 0.5
