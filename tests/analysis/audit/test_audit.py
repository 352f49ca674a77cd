"""What the audit takes and gives back: inputs and outputs, the model as it was, the report, wrong use."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.audit.procedure import audit
from tests.analysis.audit.decoders import Lambda, conv, dirty, inputs, transposed, up

# what is no enlargement


@pytest.mark.parametrize(
    "model",
    [
        nn.ConvTranspose2d(6, 6, 3, 1, 1),
        nn.Upsample(scale_factor=1),
        nn.Upsample(scale_factor=0.5),
        nn.Sequential(nn.Conv2d(6, 6, 3, 2, 1), nn.ReLU()),
        nn.ZeroPad2d(8),
        nn.ReflectionPad2d(4),
        Lambda(lambda m, x: x.repeat(1, 1, 2, 2)),
        Lambda(lambda m, x: torch.cat([x, x], 2)),
        Lambda(lambda m, x: x * F.interpolate(F.adaptive_avg_pool2d(x, 1), size=(16, 16))),
        nn.PixelUnshuffle(2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_nothing_enlarges(model: nn.Module) -> None:
    report = audit(model, inputs(1, 6, 16, 16))
    assert report.layers == ()
    assert report.clean
    assert report.verdict == "Nothing to judge: no layer enlarges its map."


def test_layers_that_never_run_are_reported() -> None:
    model = nn.Sequential(transposed(4, 2), conv())
    model.spare = nn.ModuleList([nn.ConvTranspose2d(3, 3, 4, 2), nn.ConvTranspose2d(3, 3, 3, 1), nn.PixelShuffle(2)])
    model.forward = lambda x: model[1](model[0](x))
    report = audit(model, inputs(1, 6, 16, 16))
    assert report.unused == ("spare.0", "spare.2")
    assert "never executed:\n  spare.0\n  spare.2" in str(report)


def test_a_weight_used_by_a_functional_call_is_executed() -> None:
    layer = nn.ConvTranspose2d(6, 6, 4, 2)
    model = Lambda(lambda m, x: F.conv_transpose2d(x, m.up.weight, stride=2), up=layer)
    assert audit(model, inputs(1, 6, 16, 16)).unused == ()


def test_a_layer_that_runs_twice_is_reported_twice() -> None:
    torch.manual_seed(0)
    model = Lambda(lambda m, x: m.up(m.up(x)), up=transposed(4, 2))
    report = audit(model, inputs(1, 6, 16, 16))
    assert [(layer.path, layer.period) for layer in report.layers] == [("up", (2, 2)), ("up", (4, 4))]


# inputs and outputs


def test_several_inputs_and_outputs() -> None:
    torch.manual_seed(0)

    def run(self, x, y, *, factor):
        return {"small": x * factor, "dirty": self.up(x + y), "clean": [F.interpolate(y, scale_factor=2)]}

    model = Lambda(run, up=transposed(4, 2))
    report = (
        audit(model, {"x": inputs(2, 6, 16, 16), "y": inputs(2, 6, 16, 16), "factor": 2.0})
        if False
        else audit(
            Lambda(lambda m, x, y: run(m, x, y, factor=2.0), up=model.up), (inputs(2, 6, 16, 16), inputs(2, 6, 16, 16))
        )
    )
    assert report.output == "dirty"
    assert len(report.layers) == 2
    assert not report.clean


def test_keyword_inputs() -> None:
    torch.manual_seed(0)
    model = Lambda(lambda m, x, factor: m.up(x) * factor, up=transposed(4, 2))
    assert not audit(model, {"x": inputs(1, 6, 16, 16), "factor": torch.tensor(2.0)}).clean


def test_codes_as_input() -> None:
    torch.manual_seed(0)
    model = Lambda(lambda m, x: m.up(m.book(x).permute(0, 3, 1, 2)), book=nn.Embedding(10, 6), up=transposed(4, 2))
    codes = torch.randint(10, (1, 8, 8), generator=torch.Generator().manual_seed(1))
    report = audit(model, codes, spatial_dims=2)
    assert not report.clean
    assert report.layers[0].path == "up"


# the model stays as it was


class Meddler(nn.Module):
    """Draws random numbers, writes into its buffers and its input, and may fail at a given call."""

    def __init__(self, fails_at: int = 0) -> None:
        super().__init__()
        self.up, self.norm, self.drop = transposed(4, 2), nn.BatchNorm2d(6), nn.Dropout(0.5)
        self.register_buffer("count", torch.zeros(()))
        self.fails_at, self.calls = fails_at, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.count += 1
        if self.calls == self.fails_at:
            raise RuntimeError("out of luck")
        x.mul_(0.5)
        random.random()
        np.random.rand()  # noqa: NPY002
        return self.drop(self.norm(self.up(x))) + torch.randn(1)


@pytest.mark.parametrize("fails_at", [0, 1, 4])
@pytest.mark.parametrize("training", [False, True])
def test_the_model_stays_as_it_was(fails_at: int, training: bool) -> None:
    torch.manual_seed(0)
    model = Meddler(fails_at).train(training)
    model.drop.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    x = inputs(1, 6, 16, 16)
    try:
        audit(model, x)
    except (RuntimeError, ValueError):
        assert fails_at
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert model.training is training
    assert not model.drop.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not torch.nn.modules.module._global_forward_hooks
    assert torch.equal(x, inputs(1, 6, 16, 16))
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    assert after[:2] == states[:2]
    assert torch.equal(after[2], states[2])


def test_the_same_audit_twice_says_the_same() -> None:
    model, x = dirty(), inputs(1, 6, 16, 16)
    assert audit(model, x).to_dict() == audit(model, x).to_dict()


def test_other_precisions_and_inference_mode() -> None:
    double = audit(dirty().double(), inputs(1, 6, 16, 16).double())
    single = audit(dirty(), inputs(1, 6, 16, 16))
    assert double.tone_db == pytest.approx(single.tone_db, abs=0.01)
    half = audit(nn.Sequential(up("nearest"), conv()).bfloat16(), inputs(1, 6, 16, 16).bfloat16())
    assert half.clean
    guarded = Lambda(torch.inference_mode()(lambda m, x: m.body(x)), body=dirty())
    assert audit(guarded, inputs(1, 6, 16, 16)).tone_db == pytest.approx(single.tone_db, abs=0.01)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu() -> None:
    x = inputs(1, 6, 16, 16)
    assert audit(dirty().cuda(), x.cuda()).tone_db == pytest.approx(audit(dirty(), x).tone_db, abs=0.5)


# the report


def test_report_is_plain_data_and_readable() -> None:
    report = audit(dirty(), inputs(1, 6, 16, 16))
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["clean"] is False
    assert plain["layers"][0]["kind"] == "transposed convolution"
    lines = str(report).splitlines()
    assert " ".join(lines).startswith(report.verdict)
    assert any(line[2:].startswith("0: transposed convolution, k4 s2") for line in lines)
    assert max(map(len, lines)) <= 80
    assert report.spectrum.shape[-1] == report.spectrum.shape[-2]
    assert report.phase_map.shape == (1, 3, 4, 4)


def test_threshold_decides() -> None:
    model, x = dirty(), inputs(1, 6, 16, 16)
    tone = audit(model, x).tone_db
    assert audit(model, x, threshold_db=tone + 0.1).clean
    assert not audit(model, x, threshold_db=tone - 0.1).clean


# errors


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ValueError, match=r"audit: model: expected a torch.nn.Module, got function"):
        audit(lambda x: x, inputs(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"audit: example_input: expected tensors, got int"):
        audit(conv(), 3)
    with pytest.raises(
        ValueError, match=r"audit: the model fails on the example input \[\(1, 3, 8, 8\)\]: RuntimeError"
    ):
        audit(conv(), inputs(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"audit: output: expected finite values, got NaN or infinity"):
        audit(Lambda(lambda m, x: x / 0), inputs(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"audit: model: expected maps"):
        audit(Lambda(lambda m, x: x.sum()), torch.ones(3))
    with pytest.raises(ValueError, match=r"audit: spatial_dims: expected one of 1, 2, 3, got 4"):
        audit(conv(), inputs(1, 6, 8, 8), spatial_dims=4)
