"""Whatever a network returns: the grid in it is judged, or it is said in one line why it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.audit.procedure import audit


class Returns(nn.Module):
    """An upsampler whose map is made into something else at the end."""

    def __init__(self, up: nn.Module, end: Callable[[nn.Module, Tensor], object]) -> None:
        super().__init__()
        self.up, self.end = up, end
        self.add = nn.Buffer(torch.tensor([40.0, 0.0, 0.0]).reshape(1, 3, 1, 1))

    def forward(self, x: Tensor) -> object:
        return self.end(self, x)


def dirty() -> nn.Module:
    return nn.ConvTranspose2d(6, 3, 4, 2, 1)


def clean() -> nn.Module:
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(6, 3, 3, padding=1))


class Answer:
    """An output that is no tensor, tuple, mapping or dataclass."""

    def __init__(self, sample: Tensor) -> None:
        self.sample, self.steps = sample, 3


def generated(m: Returns, x: Tensor) -> Iterator[object]:
    yield m.up(x)
    yield 3


def channels_last_pair(m: Returns, x: Tensor) -> tuple[Tensor, Tensor]:
    y = m.up(x).permute(0, 2, 3, 1)
    return y[..., :2], y[..., 2]


def zeroed(m: Returns, x: Tensor) -> Tensor:
    return F.conv2d(m.up(x), torch.zeros(3, 3, 1, 1), torch.ones(3))


JUDGED: dict[str, Callable[[Returns, Tensor], object]] = {
    "object": lambda m, x: Answer(m.up(x)),
    "generator": generated,
    "list of generators": lambda m, x: [generated(m, x)],
    "complex": lambda m, x: torch.complex(m.up(x), m.up(x.flip(1))),
    "bytes": lambda m, x: (m.up(x).clamp(0, 1) * 255).round().to(torch.uint8),
    "argmax": lambda m, x: m.up(x).argmax(1),
    "threshold": lambda m, x: m.up(x) > 0,
    "flattened": lambda m, x: m.up(x).flatten(1),
    "channels last": lambda m, x: m.up(x).permute(0, 2, 3, 1),
    "channels last in two": channels_last_pair,
    "points in a row": lambda m, x: m.up(x).permute(0, 2, 3, 1).reshape(len(x), -1, 3),
    "one axis more": lambda m, x: m.up(x)[:, None],
    "a stack of scales": lambda m, x: torch.stack([m.up(x), m.up(2 * x)], 2),
    "a small one first": lambda m, x: (F.avg_pool2d(y := m.up(x), 16), y),
    "squeezed": lambda m, x: m.up(x)[:, 0],
    # saturated
    "sigmoid": lambda m, x: torch.sigmoid(5 * m.up(x) - 60),
    "softmax": lambda m, x: torch.softmax(m.up(x) + m.add, 1),
    "tanh": lambda m, x: torch.tanh(m.up(x)),
    "grey levels": lambda m, x: (torch.tanh(m.up(x) + 9) + 1) / 2 * 255,
    "clamp of all": lambda m, x: (m.up(x) + 5).clamp(0, 1),
    "hardsigmoid of most": lambda m, x: F.hardsigmoid(9 * m.up(x) + 20),
    # statistics in between that leave nothing of the input's own
    "squeeze and excite": lambda m, x: m.up(x * torch.sigmoid(x.mean((2, 3), keepdim=True))),
}
UNJUDGED: dict[str, tuple[Callable[[Returns, Tensor], object], str]] = {
    "numpy": (lambda m, x: m.up(x).numpy(), "the model returned ndarray: .1, 3, 32, 32."),
    "scalar": (lambda m, x: m.up(x).sum(), r"the model returned float32 \(\)"),
    "text": (lambda m, x: str(m.up(x).sum()), "the model returned str: no tensor"),
    "zeros at the end": (zeroed, "does not depend on the input: its contrast is"),
    "next to constant": (lambda m, x: 1 + 1e-8 * m.up(x), "does not depend on the input"),
    "the same for all": (lambda m, x: m.up(torch.ones_like(x)) * 0 + torch.linspace(0, 1, 32), "the same on"),
}


def test_the_operator_that_makes_labels_is_named() -> None:
    report = audit(Returns(dirty(), JUDGED["argmax"]), torch.randn(1, 6, 16, 16))
    assert "leaves a grid before the argmax at" in report.verdict


@pytest.mark.parametrize("build", [dirty, clean])
@pytest.mark.parametrize("name", JUDGED)
@pytest.mark.parametrize("count", [1, 2])
def test_judged(name: str, build: Callable[[], nn.Module], count: int) -> None:
    torch.manual_seed(0)
    report = audit(Returns(build(), JUDGED[name]), torch.randn(count, 6, 16, 16))
    assert report.clean is (build is clean), report.verdict
    assert report.judgement == ("clean" if build is clean else "not clean")
    assert [layer.scale for layer in report.layers][:1] == [(2, 2)]


@pytest.mark.parametrize("build", [dirty, clean])
@pytest.mark.parametrize("name", UNJUDGED)
def test_unjudged(name: str, build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    end, why = UNJUDGED[name]
    report = audit(Returns(build(), end), torch.randn(1, 6, 16, 16))
    assert report.judgement == "cannot be judged"
    assert not report.clean
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(report.verdict)


def test_what_is_judged_of_a_saturated_head_is_said() -> None:
    torch.manual_seed(0)
    report = audit(Returns(dirty(), JUDGED["clamp of all"]), torch.randn(1, 6, 16, 16))
    assert (report.squash, report.before_squash) == ("clamp", True)
    assert "before the clamp" in report.verdict
    assert report.other_db is not None
    assert "behind the clamp" in " ".join(str(report).split())


def test_a_mild_squash_is_judged_as_it_is_and_its_input_beside_it() -> None:
    torch.manual_seed(0)
    report = audit(Returns(dirty(), JUDGED["tanh"]), torch.randn(1, 6, 16, 16))
    assert (report.squash, report.before_squash) == ("tanh", False)
    assert report.other_db == pytest.approx(report.tone_db, abs=6)
    assert "before the tanh" in " ".join(str(report).split())


def test_grey_levels_follow_the_range_of_the_head() -> None:
    torch.manual_seed(0)
    model, x = dirty(), torch.randn(1, 6, 16, 16)
    plain = audit(model, x)
    assert plain.grey_levels == pytest.approx(255 * plain.contrast * 10 ** (plain.tone_db / 20))
    squashed = audit(Returns(model, JUDGED["tanh"]), x)
    assert squashed.grey_levels == pytest.approx(255 / 2 * squashed.contrast * 10 ** (squashed.tone_db / 20))


@pytest.mark.parametrize("factor", [1e30, float("nan")])
def test_weights_that_overflow_are_refused(factor: float) -> None:
    model = dirty()
    with torch.no_grad():
        model.weight.mul_(factor).mul_(1e10)
    with pytest.raises(ValueError, match="audit: output: expected finite values, got NaN or infinity on the example"):
        audit(model, torch.randn(1, 6, 16, 16))


@pytest.mark.parametrize("build", [dirty, clean])
@pytest.mark.parametrize("dims", [1, 3])
def test_spatial_dims_that_cannot_be_meant_are_refused(build: Callable[[], nn.Module], dims: int) -> None:
    with pytest.raises(ValueError, match=rf"audit: spatial_dims: expected maps of {dims + 2} axes among inputs"):
        audit(build(), torch.randn(1, 6, 16, 16), spatial_dims=dims)


def test_an_output_of_more_axes_is_no_volume() -> None:
    torch.manual_seed(0)
    model = Returns(dirty(), JUDGED["one axis more"])
    with pytest.raises(ValueError, match="audit: spatial_dims"):
        audit(model, torch.randn(1, 6, 16, 16), spatial_dims=3)
    assert not audit(model, torch.randn(1, 6, 16, 16), spatial_dims=2).clean


@pytest.mark.parametrize("build", [dirty, clean])
def test_a_missing_batch_axis_is_said(build: Callable[[], nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"expected a batch axis, got \(6, 16, 16\); pass \(1, 6, 16, 16\)"):
        audit(build(), torch.randn(6, 16, 16))


@pytest.mark.parametrize("error", [IndexError("list index"), RecursionError("deep"), MemoryError(), AssertionError()])
def test_whatever_breaks_inside_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    from checkerscope.analysis.audit import examination

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(examination, "outputs", broken)
    with pytest.raises(ValueError, match=rf"audit: cannot be judged: {type(error).__name__}: .*; try a larger") as said:
        audit(dirty(), torch.randn(1, 6, 16, 16))
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("limit", [float("nan"), float("inf")])
def test_limits_are_numbers(limit: float) -> None:
    with pytest.raises(ValueError, match="audit: threshold_db: expected a finite number"):
        audit(dirty(), torch.randn(1, 6, 16, 16), threshold_db=limit)
    with pytest.raises(ValueError, match="audit: threshold_rms: expected a finite number"):
        audit(dirty(), torch.randn(1, 6, 16, 16), threshold_rms=limit)


def test_a_limit_in_units_of_the_output() -> None:
    torch.manual_seed(0)
    model, x = dirty(), torch.randn(1, 6, 16, 16)
    rms = audit(model, x).grey_levels / 255
    assert audit(model, x, threshold_rms=1.01 * rms).clean
    assert not audit(model, x, threshold_rms=0.99 * rms).clean
    assert audit(model, x, threshold_rms=0.99 * rms).judgement == "borderline"
