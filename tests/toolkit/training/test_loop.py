"""The reference: one model, one step after the other."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from checkerscope.toolkit.training import devices, engine, loop
from checkerscope.toolkit.training.engine import Recipe

Build = Callable[..., nn.Module]


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_step_is_adam_on_the_mean_square(build: Build, images: Tensor) -> None:
    model, recipe = build("nearest_conv"), Recipe(1, batch_size=5, learning_rate=0.1, precision="float64")
    before = build("nearest_conv").double()
    index = engine.index_table(1, 5, len(images), seed=7)[0]
    loss = (before(images[index]) - images[index]).square().mean()
    gradients = torch.autograd.grad(loss, list(before.parameters()))
    outcome = loop.train(model, images, recipe, seed=7)
    assert outcome.losses.tolist() == pytest.approx([loss.item()])
    for new, old, g in zip(model.parameters(), before.parameters(), gradients, strict=True):
        # Kingma 2014, arXiv:1412.6980, algorithm 1: at the first step both moments, unbiased, are g and g^2
        torch.testing.assert_close(new, old - 0.1 * g / (g.abs() + 1e-8))


def test_every_epoch_shows_every_image_once() -> None:
    table = engine.index_table(9, 4, 12, seed=3)
    assert [sorted(epoch.tolist()) for epoch in table.flatten().split(12)] == [list(range(12))] * 3
    assert torch.equal(table[:5], engine.index_table(5, 4, 12, seed=3))
    assert not torch.equal(table, engine.index_table(9, 4, 12, seed=4))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("stop", [1, 25, 30])
def test_going_on_is_bit_exact(build: Build, images: Tensor, precision: str, stop: int) -> None:
    recipe = Recipe(40, batch_size=4, learning_rate=1e-2, precision=precision)
    kept: dict[int, dict[str, Tensor]] = {}

    def observe(step: int, state: engine.State) -> None:
        if step == stop:
            kept[step] = state()

    whole, rest = build("pixel_shuffle"), build("pixel_shuffle", seed=1)
    expected = loop.train(whole, images, recipe, seed=0, observe=observe)
    outcome = loop.train(rest, images, recipe, seed=0, resume=kept[stop])
    assert same(whole, rest)
    assert torch.equal(expected.losses, outcome.losses)


def test_the_observer_sees_every_step_and_changes_nothing(build: Build, images: Tensor) -> None:
    steps, recipe = [], Recipe(3, batch_size=4)
    watched, alone = build("bilinear_conv"), build("bilinear_conv")
    loop.train(watched, images, recipe, seed=0, observe=lambda step, state: steps.append((step, int(state()["step"]))))
    loop.train(alone, images, recipe, seed=0)
    assert steps == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert same(watched, alone)


def test_divergence_ends_the_training_where_it_began(build: Build, images: Tensor) -> None:
    recipe = Recipe(60, batch_size=4, learning_rate=1e13)
    kept: dict[int, dict[str, Tensor]] = {}
    whole = loop.train(
        build("transposed_conv"), images, recipe, seed=0, observe=lambda s, state: kept.update({s: state()})
    )
    assert whole.status == "diverged"
    assert whole.step == len(whole.losses) <= max(kept) == engine.CHECK_EVERY - 1
    assert torch.isfinite(whole.losses[:-1]).all()
    assert not torch.isfinite(whole.losses[-1])
    resumed = loop.train(build("transposed_conv"), images, recipe, seed=0, resume=kept[1])
    assert resumed.step == whole.step


def test_weights_that_are_not_finite_are_found(build: Build, images: Tensor) -> None:
    # the last step leaves weights that no loss has seen
    model, recipe = build("transposed_conv"), Recipe(1, batch_size=4, learning_rate=float("inf"))
    assert loop.train(model, images, recipe, seed=0) == engine.Outcome(
        "diverged", 1, pytest.approx(torch.zeros(1), abs=9)
    )


def test_bfloat16_trains_as_float32_does(build: Build, images: Tensor) -> None:
    recipe = Recipe(40, batch_size=4, learning_rate=1e-2)
    model, other = build("transposed_conv"), build("transposed_conv")
    full = loop.train(model, images, recipe, seed=0).losses
    half = loop.train(other, images, dataclasses.replace(recipe, precision="bfloat16"), seed=0).losses
    assert full[-5:].mean() < 0.5 * full[0]
    assert half[-5:].mean().item() == pytest.approx(full[-5:].mean().item(), rel=0.1)
    assert not torch.equal(full, half)
    assert next(other.parameters()).dtype == torch.float32


def test_the_loss_is_that_of_the_recipe(build: Build, images: Tensor) -> None:
    classes = torch.nn.functional.one_hot(images.argmax(1), 3).movedim(-1, 1).double()
    model = build("nearest_conv").double()
    index = engine.index_table(1, 12, 12, seed=0)[0]
    output = model(images[index])
    expected = -(output.log_softmax(1) * classes[index]).sum(1).mean()
    recipe = Recipe(1, batch_size=12, loss="cross_entropy", precision="float64")
    outcome = loop.train(model, images, recipe, seed=0, targets=classes)
    assert outcome.losses.item() == pytest.approx(expected.item())


def test_what_cannot_be_is_refused(build: Build, images: Tensor) -> None:
    with pytest.raises(ValueError, match="precision: tf32: expected a CUDA device, got cpu; use float32"):
        loop.train(build("nearest_conv"), images, Recipe(1, precision="tf32"), seed=0)
    with pytest.raises(ValueError, match="training images"):
        loop.train(build("nearest_conv"), images[:0], Recipe(1), seed=0)
    with pytest.raises(ValueError, match="recipe: loss"):
        Recipe(1, loss="huber")
    with pytest.raises(ValueError, match="cuda:9 is not available"):
        devices.pick_device("cuda:9")


def test_the_callers_tf32_setting_comes_back(build: Build, images: Tensor) -> None:
    before = torch.backends.cudnn.allow_tf32
    seen = []
    torch.backends.cudnn.allow_tf32 = True
    try:
        observe = lambda step, state: seen.append(torch.backends.cudnn.allow_tf32)  # noqa: E731
        loop.train(build("nearest_conv"), images, Recipe(1), seed=0, observe=observe)
        assert torch.backends.cudnn.allow_tf32
        assert seen == [False, False]
    finally:
        torch.backends.cudnn.allow_tf32 = before


# torch's crash


CRASHING = """
import torch
from torch import nn
from checkerscope.toolkit.training import loop
from checkerscope.toolkit.training.engine import Recipe
torch.set_num_threads(1)
model = nn.Sequential(nn.Conv2d(3, 16, 1), nn.ConvTranspose2d(16, 8, 1, {stride}, 0, {stride} - 1), nn.Conv2d(8, 3, 1))
images = torch.rand(8, 3, 32, 32)
targets = torch.rand(8, 3, 32 * {stride}, 32 * {stride})
print(loop.train(model, images, Recipe(2, batch_size=8), seed=0, targets=targets).status)
"""


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_a_transposed_convolution_of_one_tap_is_trained_and_not_a_crash(stride: int) -> None:
    """In channels_last its backward pass ends the process with SIGSEGV."""
    done = subprocess.run([sys.executable, "-c", CRASHING.format(stride=stride)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_only_such_a_model_gives_up_the_fast_layout(build: Build, images: Tensor) -> None:
    recipe = Recipe(1, batch_size=4)
    for kernel_size in (1, 2, 3, 4):
        model = build("transposed_conv", kernel_size=kernel_size)
        data = engine.Data.of(images, None, recipe, models=[model])
        fast = data.images.is_contiguous(memory_format=torch.channels_last)
        assert fast == (data.layout == torch.channels_last) == (kernel_size > 1)
    assert engine.crashing_layer(nn.ConvTranspose2d(4, 4, 1, 1)) == ""
    assert engine.crashing_layer(build("pixel_shuffle")) == ""


def test_data_that_do_not_know_their_model_refuse_to_place_it(build: Build, images: Tensor) -> None:
    data = engine.Data.of(images, None, Recipe(1))
    with pytest.raises(ValueError, match=r"layer .*conv: expected data in the layout of its model, got channels_last"):
        data.place(build("transposed_conv", kernel_size=1))
