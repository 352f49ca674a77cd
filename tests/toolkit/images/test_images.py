"""Every image source: the contract, and no lattice line of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.image_source import PACKAGE, SPLITS, area_average, patches, shuffled

SOURCES = catalog.names(PACKAGE)
#: Sources that need files of the user are tested on files made here.
READY = tuple(c.name for c in catalog.describe(PACKAGE) if not c.flags.get("needs"))
SPECTRUM = 72  # divisible by 2, 3, 4 and 8


def level(images: Tensor) -> Tensor:
    """Return the mean spectrum in dB of every channel and colour difference, (C, 72, 72)."""
    x = images
    if x.shape[1] == 3:
        x = torch.cat([x, x[:, :1] - x[:, 1:2], x[:, 2:] - x[:, 1:2]], dim=1)
    window = torch.hann_window(SPECTRUM)
    x = (x - x.mean((2, 3), keepdim=True)) * window * window[:, None]
    power = torch.fft.fft2(x).abs().square()
    power = power / power.mean((2, 3), keepdim=True).clamp_min(1e-20)  # every patch counts the same
    return 10 * power.mean(0).log10()


def lattice_excess(level: Tensor, period: int) -> float:
    """Return the largest excess in dB of a lattice line over its neighbours, in any channel."""
    step = SPECTRUM // period
    lines = [(a * step, b * step) for a in range(period) for b in range(period) if a or b]
    return max(float(_above_neighbours(level, i, j).max()) for i, j in lines)


def _above_neighbours(level: Tensor, i: int, j: int) -> Tensor:
    near, ring = (-4, -3, 3, 4), range(-4, 5)
    if i == 0 or j == 0:  # on an axis, where natural images have a ridge: compare along the ridge
        around = [(i, j + v) if i == 0 else (i + v, j) for v in near]
    else:
        around = [(i + u, j + v) for u in ring for v in ring if max(abs(u), abs(v)) >= 3]
    rows, columns = np.array(around).T % SPECTRUM
    return level[:, i, j] - level[:, rows, columns].mean(1)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", READY)
def test_contract(name: str, split: str) -> None:
    source = catalog.load(PACKAGE, name)
    images = source.load(split, 24, images=6)
    assert images.dtype == torch.float32
    assert images.shape[0] == 6
    assert images.shape[2:] == (24, 24)
    assert images.is_contiguous()
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(images, source.load(split, 24, images=6))
    assert not torch.equal(images, source.load(split, 24, images=6, seed=1))


@pytest.mark.parametrize("name", READY)
def test_splits_share_no_image(name: str) -> None:
    source = catalog.load(PACKAGE, name)
    train, test = (source.load(split, 16, images=60).flatten(1) for split in SPLITS)
    assert torch.cdist(train, test).min() > 1e-3


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", READY)
def test_a_source_has_no_lattice_line(name: str, split: str) -> None:
    images = catalog.load(PACKAGE, name).load(split, SPECTRUM, **({} if name == "photos" else {"images": 150}))
    spectrum = level(images)
    excess = {period: lattice_excess(spectrum, period) for period in (2, 3, 4, 8)}
    assert max(excess.values()) < 4, excess


def test_the_grid_check_sees_a_grid_of_one_part_in_fifty() -> None:
    images = catalog.load(PACKAGE, "dead_leaves").load("train", SPECTRUM, images=100)
    for period in (2, 3, 4, 8):
        dirty = images.clone()
        dirty[..., ::period] += 0.02
        assert lattice_excess(level(dirty), period) > 6


@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"split": "validation"}, "split: expected one of 'train', 'test', got 'validation'"),
        ({"size": 0}, "size: expected an integer from 1, got 0"),
        ({"images": 0}, "images: expected an integer from 1, got 0"),
    ],
)
def test_bad_requests(name: str, wrong: dict[str, object], message: str) -> None:
    asked = {"split": "train", "size": 16} | wrong
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        catalog.load(PACKAGE, name).load(**asked)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("photos", {"downscale": 3}, "photos: downscale: expected one of 1, 2, got 3"),
        ("photos", {"size": 600}, "photographs of at least 600 x 600, got astronaut.png of 512 x 512"),
        ("photos", {"stride": 0}, "photos: stride: expected an integer from 1, got 0"),
        ("dead_leaves", {"channels": 2}, "dead_leaves: channels: expected one of 1, 3, got 2"),
        ("dead_leaves", {"shape": "star"}, "leaves: shape: expected one of 'disc', 'ellipse', got 'star'"),
        ("dead_leaves", {"exponent": 1.0}, "leaves: exponent: expected a number between 1 and 10, got 1.0"),
    ],
)
def test_bad_options(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        catalog.load(PACKAGE, name).load(**({"split": "train", "size": 16} | options))


def test_photographs_are_counted_and_cut() -> None:
    photos = catalog.load(PACKAGE, "photos")
    assert len(photos.load("train", 64)) == 761
    assert len(photos.load("test", 64)) == 144
    assert len(photos.load("train", 64, downscale=2, stride=64)) == 4 * 4 + 3 * 5 + 3 * 5


def test_a_procedural_image_does_not_depend_on_how_many_are_asked_for() -> None:
    source = catalog.load(PACKAGE, "dead_leaves")
    assert torch.equal(source.load("test", 16, images=2), source.load("test", 16, images=5)[:2])


def test_radii_follow_the_power_law() -> None:
    from checkerscope.toolkit.images._leaves import _radii

    uniform = (np.arange(10_000) + 0.5) / 10_000
    radius = _radii(3.0, 1.0, 10.0, uniform)
    # density 2 r^-3 / (1 - 1/100): P(r < 2) = (1 - 1/4) / (1 - 1/100)
    assert np.mean(radius < 2) == pytest.approx(0.75 / 0.99, abs=1e-3)


def test_patches_and_averages_have_known_values() -> None:
    ramp = np.arange(20.0).reshape(4, 5, 1)
    assert patches(ramp, 2, 2)[:, 0, 0, 0].tolist() == [0, 2, 10, 12]
    assert patches(ramp, 2, 2)[1, 0].tolist() == [[2, 3], [7, 8]]
    assert area_average(ramp, 2)[..., 0].tolist() == [[3, 5], [13, 15]]
    assert len(patches(ramp, 5, 1)) == 0
    assert len(shuffled(torch.zeros(5, 1), seed=0, limit=3)) == 3


SCENES = tuple(c.name for c in catalog.describe(PACKAGE) if "classes" in c.flags)


@pytest.mark.parametrize("name", SCENES)
def test_labels_belong_to_the_images(name: str) -> None:
    source = catalog.load(PACKAGE, name)
    images, labels = (call("train", 48, images=40, noise=0.0) for call in (source.load, source.labels))
    assert labels.dtype == torch.int64
    assert labels.shape == (40, 48, 48)
    assert set(labels.unique().tolist()) == set(range(source.CLASSES))
    assert torch.equal(labels, source.labels("train", 48, images=40))
    assert not torch.equal(labels, source.labels("test", 48, images=40))
    means = torch.stack([images.movedim(1, -1)[labels == k].mean(0) for k in range(source.CLASSES)])
    assert torch.pdist(means).min() > 0.3  # the classes have the colours that they should have


def test_a_pixels_colour_does_not_tell_its_class_for_sure() -> None:
    source = catalog.load(PACKAGE, "labelled_leaves")
    images, labels = (call("test", 48, images=40) for call in (source.load, source.labels))
    means = torch.from_numpy(source._COLOURS).float()
    guess = (images[:, None] - means[None, :, :, None, None]).square().sum(2).argmin(1)
    assert 0.7 < (guess == labels).float().mean() < 0.9


def test_labels_have_no_lattice_line() -> None:
    labels = catalog.load(PACKAGE, "labelled_leaves").labels("train", SPECTRUM, images=150)
    spectrum = level((labels == 0)[:, None].float())
    assert max(lattice_excess(spectrum, period) for period in (2, 3, 4, 8)) < 4


def test_noise_is_a_number_within_the_image_range() -> None:
    with pytest.raises(ValueError, match=r"labelled_leaves: noise: expected a number from 0 to 1, got -0.1; use 0.1"):
        catalog.load(PACKAGE, "labelled_leaves").load("train", 16, images=1, noise=-0.1)
