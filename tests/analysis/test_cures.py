"""Cures of audited models: each was tried, its numbers are right, and what does not help is not among them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.audit.procedure import audit
from checkerscope.analysis.cost import inference_cost
from checkerscope.analysis.cures import Trials, TriedCure, described, try_cures
from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.remedy import PACKAGE


class Shuffled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 2)


class Folded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 48, 3, padding=1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h, w = x.shape[-2:]
        return {"sample": F.fold(self.conv(x).flatten(2), (2 * h, 2 * w), 4, stride=2, padding=1)}


def made(model: type[nn.Module] | nn.Module) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model().eval() if isinstance(model, type) else model


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def tried(model: nn.Module, x: Tensor) -> Trials:
    return try_cures(model, x, audit(model, x))


def test_every_listed_cure_cures_when_it_is_applied_again(x: Tensor) -> None:
    model = made(Shuffled)
    found = tried(model, x)
    names = {described(cure.name, cure.options) for cure in found.cures}
    assert {"equal_gain", "icnr", "hold", "hold places=output period=2", "self_distil steps=100"} <= names
    assert not found.untried
    for cure in found.cures:
        if cure.name == "self_distil":
            continue  # fitted to inputs of its own
        report = audit(catalog.load(PACKAGE, cure.name).apply(model, **cure.options), x)
        assert report.clean
        assert report.tone_db == pytest.approx(cure.tone_db)


def test_prices_are_those_of_the_cured_model(x: Tensor) -> None:
    layer = made(nn.ConvTranspose2d(3, 3, 4, 2, 1))
    found = {described(cure.name, cure.options): cure for cure in tried(layer, x).cures}
    resized = found["resize_conv"]
    cured = catalog.load(PACKAGE, "resize_conv").apply(layer)
    before, after = inference_cost(layer, x), inference_cost(cured, x)
    assert (resized.parameters, resized.macs) == (after.parameters - before.parameters, after.macs / before.macs)
    assert (found["equal_gain"].parameters, found["equal_gain"].macs) == (0, 1.0)
    with torch.no_grad():
        change, output = cured(x) - layer(x), layer(x).double()
    contrast = (output - output.mean((2, 3), keepdim=True)).square().mean()
    assert 10 ** (resized.change_db / 10) == pytest.approx(float(change.double().square().mean() / contrast), rel=1e-6)


def test_cures_come_with_the_least_change_first(x: Tensor) -> None:
    changes = [cure.change_db for cure in tried(made(Shuffled), x).cures]
    assert changes == sorted(changes)


def test_what_always_refuses_is_not_listed(x: Tensor) -> None:
    found = tried(made(nn.ConvTranspose2d(3, 3, 3, 2, 1, 1)), x)
    assert "icnr" not in {cure.name for cure in found.cures}
    assert found.refused["icnr"].endswith("expected a multiple of the stride 2, got 3; use kernel_size=4")
    found = tried(made(nn.ConvTranspose2d(3, 3, 4, 2, 3)), x)
    assert "resize_conv" not in {cure.name for cure in found.cures}
    assert "an output of exactly stride times the input" in found.refused["resize_conv"]


def test_what_has_no_kernel_has_cures_at_the_output(x: Tensor) -> None:
    found = tried(made(Folded), x)
    assert "equal_gain" not in {cure.name for cure in found.cures}
    assert {"hold places=output period=2", "self_distil steps=100 places=output period=2"} & {
        described(cure.name, cure.options) for cure in found.cures if cure.clean
    }
    assert "use hold with places=output" in found.refused["equal_gain"]


def test_a_clean_model_has_nothing_to_cure(x: Tensor) -> None:
    assert tried(nn.Upsample(scale_factor=2), x) == Trials((), {})


def test_the_model_is_as_it_was(x: Tensor) -> None:
    model = made(Shuffled).train()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    random = torch.get_rng_state()
    tried(model, x)
    assert model.training
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


def test_what_there_was_no_time_or_room_for_is_said(x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(Shuffled)
    report = audit(model, x)
    found = try_cures(model, x, report, seconds=-1.0)
    assert found.cures == ()
    assert found.untried.startswith("no time for equal_gain, fir, ")
    monkeypatch.setattr("checkerscope.analysis.cures.MOST_PARAMETERS", 10)
    assert try_cures(model, x, report).untried == "no cure was tried on 336 parameters; use checkerscope cure"


def test_the_list_says_tone_change_and_price() -> None:
    cure = TriedCure(
        "hold", {"places": "output", "period": [1, 4]}, False, -31.25, -12.5, 1200, 1.25, "approximate", "blurs"
    )
    text = str(Trials((cure,), {"icnr": "3 taps"}, "no time for fir"))
    assert text.splitlines()[1:] == [
        "  hold places=output period=[1,4]: -31.2 dB (over the limit); -12.5 dB;",
        "    parameters +1,200, MACs +25%",
        "      approximate; blurs",
        "  not icnr: 3 taps",
        "  no time for fir",
    ]
