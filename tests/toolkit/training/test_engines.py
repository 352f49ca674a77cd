"""`graph` and `grouped` against the loop. Captured graphs need a GPU; what they capture is run eagerly elsewhere."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from checkerscope.toolkit import catalog
from checkerscope.toolkit.networks.unet import UNet
from checkerscope.toolkit.training import choice, engine, graph, grouped, loop
from checkerscope.toolkit.training.engine import Data, GroupObserver, Member, Outcome, Recipe

Build = Callable[..., nn.Module]
DOUBLE = Recipe(50, batch_size=4, learning_rate=1e-2, precision="float64")
GROUPABLE = ("nearest_conv", "bilinear_conv", "pixel_shuffle", "max_unpool")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def branches(
    members: Sequence[Member], images: Tensor, recipe: Recipe, observe: GroupObserver | None = None
) -> list[Outcome]:
    """Run what `graph` captures, without a capture."""
    return engine.walk(graph.Branches(members, Data.of(images, None, recipe)), recipe.steps, observe)


def joined(
    members: Sequence[Member], images: Tensor, recipe: Recipe, observe: GroupObserver | None = None
) -> list[Outcome]:
    return grouped.train(members, images, recipe, observe=observe)


ENGINES = (branches, joined)


def distance(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


@torch.no_grad()
def compare(train: Callable[..., list[Outcome]], models: list[nn.Module], images: Tensor, recipe: Recipe) -> None:
    alone = copy.deepcopy(models)
    with torch.enable_grad():
        expected = [loop.train(model, images, recipe, seed=seed) for seed, model in enumerate(alone)]
        outcomes = train([Member(model, seed) for seed, model in enumerate(models)], images, recipe)
    for model, other, outcome, wanted in zip(models, alone, outcomes, expected, strict=True):
        assert distance(model, other) <= 1e-12
        torch.testing.assert_close(outcome.losses, wanted.losses)
        assert outcome.status == "done"


@pytest.mark.parametrize(
    ("train", "name"), [(branches, "nearest_conv"), (branches, "max_unpool"), *((joined, name) for name in GROUPABLE)]
)
def test_fifty_steps_give_the_loops_weights(
    train: Callable[..., list[Outcome]], name: str, build: Build, images: Tensor
) -> None:
    compare(train, [build(name, seed) for seed in range(2)], images, DOUBLE)


@pytest.mark.parametrize("kernel_size", [3, 4])
def test_groups_inside_a_model_stay_its_own(kernel_size: int, build: Build, images: Tensor) -> None:
    models = [build("transposed_conv", seed, kernel_size=kernel_size, groups=2) for seed in range(2)]
    compare(joined, models, images, DOUBLE)


def test_the_merged_kernel_of_nearest_conv_can_be_grouped(build: Build) -> None:
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = build("nearest_conv")
    assert model.upsamplers[1]._is_merged(torch.empty(8, 8, 16, 16))
    compare(joined, [model, build("nearest_conv", 1)], images, Recipe(3, batch_size=8, precision="float64"))


@pytest.mark.parametrize("loss", ["l1", "cross_entropy"])
def test_every_loss_is_taken_per_model(loss: str, build: Build, images: Tensor) -> None:
    targets = images.softmax(1)
    recipe = Recipe(5, batch_size=4, loss=loss, precision="float64")
    alone, models = [build("nearest_conv", s) for s in (0, 1)], [build("nearest_conv", s) for s in (0, 1)]
    for seed, model in enumerate(alone):
        loop.train(model, images, recipe, seed=seed, targets=targets)
    grouped.train([Member(model, seed) for seed, model in enumerate(models)], images, recipe, targets=targets)
    assert max(distance(a, b) for a, b in zip(alone, models, strict=True)) <= 1e-12


@pytest.mark.parametrize("train", ENGINES)
def test_going_on_is_bit_exact(train: Callable[..., list[Outcome]], build: Build, images: Tensor) -> None:
    recipe = Recipe(30, batch_size=4, learning_rate=1e-2)
    kept: dict[int, dict[str, Tensor]] = {}

    def observe(step: int, states: dict[int, engine.State]) -> None:
        if step == 26:
            kept.update({index: state() for index, state in states.items()})

    whole, rest = [build("pixel_shuffle", s) for s in (0, 1)], [build("pixel_shuffle", s) for s in (2, 3)]
    expected = train([Member(model, seed) for seed, model in enumerate(whole)], images, recipe, observe)
    outcomes = train([Member(model, seed, kept[seed]) for seed, model in enumerate(rest)], images, recipe)
    for a, b, x, y in zip(whole, rest, expected, outcomes, strict=True):
        assert distance(a, b) == 0
        assert torch.equal(x.losses, y.losses)


def test_a_state_may_come_from_another_engine(build: Build, images: Tensor) -> None:
    kept: list[dict[int, dict[str, Tensor]]] = [{}, {}]
    for found, train in zip(kept, ENGINES, strict=True):
        models = [Member(build("pixel_shuffle", s), s) for s in (0, 1)]
        train(models, images, Recipe(2, 4), lambda s, states, f=found: f.update({s: states[1]()}))
    assert kept[0][2].keys() == kept[1][2].keys()
    assert all(kept[0][2][key].shape == value.shape for key, value in kept[1][2].items())


@pytest.mark.parametrize("train", ENGINES)
def test_one_that_diverges_leaves_the_others_alone(
    train: Callable[..., list[Outcome]], build: Build, images: Tensor
) -> None:
    recipe = Recipe(30, batch_size=4, precision="float64")
    models = [build("transposed_conv", seed) for seed in range(3)]
    alone = copy.deepcopy(models[2])
    with torch.no_grad():
        models[1].final.bias.fill_(float("inf"))
    seen: dict[int, list[int]] = {}
    outcomes = train(
        [Member(model, seed) for seed, model in enumerate(models)],
        images,
        recipe,
        lambda step, states: seen.update({step: list(states)}),
    )
    assert [outcome.status for outcome in outcomes] == ["done", "diverged", "done"]
    assert outcomes[1].step == 1
    assert len(outcomes[1].losses) == 1
    assert seen[engine.CHECK_EVERY - 1] == [0, 1, 2]
    assert seen[engine.CHECK_EVERY] == [0, 2]
    loop.train(alone, images, recipe, seed=2)
    assert distance(models[2], alone) <= 1e-12


def test_members_at_different_steps_are_refused(build: Build, images: Tensor) -> None:
    members = [Member(build("nearest_conv"), 0), Member(build("nearest_conv"), 1, {"step": torch.tensor(3)})]
    for train in ENGINES:
        with pytest.raises(
            ValueError, match=r"members: expected one or more models at the same step, got steps \[0, 3\]"
        ):
            train(members, images, Recipe(5))


@pytest.mark.parametrize(
    ("name", "why"), [("carafe", "autoencoder with carafe mixes"), ("sapa", "norm_query: expected")]
)
def test_what_cannot_be_grouped_is_refused_by_name(name: str, why: str, build: Build, images: Tensor) -> None:
    members = [Member(build(name, seed), seed) for seed in (0, 1)]
    with pytest.raises(ValueError, match=why):
        grouped.train(members, images, Recipe(1))
    chosen = choice.fastest(members, images, Recipe(1, batch_size=2))
    assert chosen.engine == "loop"
    assert why in chosen.why
    assert "graph: expected a CUDA device" in chosen.why


def test_a_network_that_joins_maps_is_refused(images: Tensor) -> None:
    upsampler = catalog.load("checkerscope.toolkit.upsamplers", "transposed_conv")
    members = [Member(UNet(upsampler, width=2), seed) for seed in (0, 1)]
    assert "unet with transposed_conv mixes channels" in grouped.refusal(members, Data.of(images, None, Recipe(1)))


def test_the_engine_is_chosen_or_refused(build: Build, images: Tensor) -> None:
    members = [Member(build("nearest_conv", seed), seed) for seed in (0, 1)]
    before = copy.deepcopy(members[0].model)
    assert choice.choose("auto", members, images, Recipe(1)) == choice.Choice("loop", "on a CPU joining models loses")
    assert choice.choose("grouped", members, images, Recipe(1)).engine == "grouped"
    timed = choice.fastest(members, images, Recipe(1, batch_size=2))
    assert set(timed.seconds) == {"loop", "grouped"}
    assert timed.engine in timed.seconds
    assert "ms" in timed.why
    assert distance(before, members[0].model) == 0  # copies were timed
    with pytest.raises(ValueError, match="engine: graph: expected a CUDA device, got cpu"):
        choice.choose("graph", members, images, Recipe(1))
    with pytest.raises(ValueError, match="graph: expected a CUDA device, got cpu; use loop"):
        graph.train(members, images, Recipe(1))
    with pytest.raises(ValueError, match="engine"):
        choice.choose("eager", members, images, Recipe(1))


class Waits(TorchDispatchMode):
    """Records operations that make the host wait for a device, or move data to it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name, kwargs = str(func), kwargs or {}
        # lift_fresh: a tensor made from numbers of the host
        waits = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "aten.equal", "lift_fresh")
        if any(word in name for word in waits) or ("_to_copy" in name and "device" in kwargs):
            self.found.append(name)
        return func(*args, **kwargs)


@pytest.mark.parametrize("name", catalog.names("checkerscope.toolkit.upsamplers"))
def test_a_step_never_waits_for_the_device(name: str, build: Build, images: Tensor) -> None:
    data = Data.of(images, None, Recipe(2, batch_size=2))
    branch = graph.Branch(Member(build(name), 0), data)  # takes the step of the loop
    branch.step()
    with Waits() as waits:
        branch.step()
    assert waits.found == []


def test_the_watch_sees_a_wait() -> None:
    with Waits() as waits:
        torch.ones(1).item()
    assert waits.found


@needs_cuda
@pytest.mark.parametrize("name", GROUPABLE)
def test_a_captured_graph_gives_the_loops_weights(name: str, build: Build, images: Tensor) -> None:
    models = [build(name, seed).cuda() for seed in range(3)]
    compare(graph.train, models, images.cuda(), DOUBLE)


@needs_cuda
def test_steps_on_a_gpu_do_not_synchronise(build: Build, images: Tensor) -> None:
    from torch.profiler import ProfilerActivity, profile

    data = Data.of(images.cuda(), None, Recipe(20, batch_size=4))
    trainings = (
        loop.Loop(Member(build("nearest_conv").cuda(), 0), data),
        graph.Branches([Member(build("nearest_conv").cuda(), 0)], data),
    )
    for training in trainings:
        for step in range(8):
            training.advance(step)
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True) as seen:
            for step in range(8, 12):
                training.advance(step)
        names = {event.key for event in seen.key_averages()}
        assert not names & {"aten::item", "cudaStreamSynchronize", "cudaEventSynchronize"}
        assert not [name for name in names if "DtoH" in name]
