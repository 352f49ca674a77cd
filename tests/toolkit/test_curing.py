"""Curing in Python: the original stays, precision is kept, mistakes are one line."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from checkerscope.toolkit.curing import cure
from checkerscope.toolkit.training.engine import Recipe


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.ConvTranspose2d(4, 3, 4, 2, 1))


def images() -> Tensor:
    return torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def grid(network: nn.Module) -> float:
    dtype = next(network.parameters()).dtype
    with torch.no_grad():
        return float(network(torch.full((1, 3, 32, 32), 0.5, dtype=dtype))[0, 0, 8:-8, 8:-8].std())


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("float64", torch.float64)])
def test_a_fine_tune_keeps_equal_gains_and_the_recipes_precision(precision: str, dtype: torch.dtype) -> None:
    original = model().eval()
    before = {name: value.clone() for name, value in original.state_dict().items()}
    recipe = Recipe(5, batch_size=4, learning_rate=1e-2, precision=precision)
    cured = cure(original, "equal_gain", inputs=images(), recipe=recipe, seed=2)
    assert grid(original) > 100 * grid(cured)
    assert {parameter.dtype for parameter in cured.parameters()} == {dtype}
    assert not cured.training
    assert all(torch.equal(before[name], value) for name, value in original.state_dict().items())


def test_without_steps_a_remedy_is_only_applied() -> None:
    once = cure(model(), {"name": "equal_gain", "order": 0}, inputs=images(), recipe=Recipe(0))
    assert sorted(once.state_dict()) == sorted(model().state_dict())


def test_a_remedy_that_needs_data_is_fitted_to_the_examples_it_is_given() -> None:
    with pytest.raises(ValueError, match="phase_affine: inputs"):
        cure(model(), "phase_affine")
    fitted = cure(model(), "phase_affine", inputs=images(), targets=2 * images())
    with torch.no_grad():
        before, after = ((network(images()) - 2 * images()).square().mean() for network in (model(), fitted))
    assert after < before


@pytest.mark.parametrize(
    ("remedy", "message"),
    [
        ("equal_gian", "did you mean 'equal_gain'"),
        ({"name": "equal_gain", "oder": 1}, "equal_gain has no option 'oder'; did you mean 'order'"),
        ({"order": 1}, "remedies: there is no ''"),
    ],
)
def test_what_is_unknown_is_named_with_the_nearest(remedy: str | dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cure(model(), remedy)


def test_a_fine_tune_without_examples_or_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="cure: inputs: expected examples to fine-tune on, got none"):
        cure(model(), "equal_gain", recipe=Recipe(1))
    with pytest.raises(ValueError, match="use a smaller learning rate"):
        cure(model(), "equal_gain", inputs=images(), recipe=Recipe(5, learning_rate=1e30))
