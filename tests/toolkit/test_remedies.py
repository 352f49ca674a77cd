"""Remedies: what each promises, on small modules."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from analysis.audit import audit
from toolkit import catalog
from toolkit.remedy import PACKAGE, PROMISES


def decoder() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.ConvTranspose2d(3, 8, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1))


@pytest.mark.parametrize("name", catalog.names(PACKAGE))
def test_every_remedy_says_what_it_promises(name: str) -> None:
    flags = catalog.describe_one(PACKAGE, name).flags
    assert flags["promise"] in PROMISES
    assert flags["applies_to"]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("order", [0, 1])
def test_equal_gain_makes_a_dirty_decoder_clean_and_leaves_the_original(order: int, keep: bool) -> None:
    dirty = decoder()
    before = {key: value.clone() for key, value in dirty.state_dict().items()}
    example = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    cured = catalog.load(PACKAGE, "equal_gain").apply(dirty, order=order, keep=keep)
    assert not audit(dirty, example).clean
    assert audit(cured, example).clean
    assert all(torch.equal(before[key], value) for key, value in dirty.state_dict().items())


def test_equal_gain_is_kept_through_training() -> None:
    cured = catalog.load(PACKAGE, "equal_gain").apply(decoder(), keep=True)
    generator = torch.Generator().manual_seed(2)
    optimizer = torch.optim.Adam(cured.parameters(), lr=1e-2)
    for _ in range(20):
        x = torch.rand(2, 3, 8, 8, generator=generator)
        cured(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert audit(cured, torch.rand(1, 3, 16, 16, generator=generator)).clean


def test_equal_gain_refuses_a_module_without_a_transposed_convolution() -> None:
    with pytest.raises(ValueError, match="expected a transposed convolution of stride above 1, got Conv2d"):
        catalog.load(PACKAGE, "equal_gain").apply(nn.Conv2d(1, 1, 3))
