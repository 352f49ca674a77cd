"""Which layer makes the grid: parts of the tone over the same inputs, that add up to it."""

from __future__ import annotations

from math import log10

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.audit.attribution import line_powers, shared
from checkerscope.analysis.audit.procedure import audit


def decoder(stages: int) -> nn.Module:
    steps = [layer for _ in range(stages) for layer in (nn.ConvTranspose2d(6, 6, 4, 2, 1), nn.ReLU())]
    return nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), *steps, nn.Conv2d(6, 3, 3, padding=1))


@pytest.mark.parametrize("draw", [torch.randn, torch.rand])
@pytest.mark.parametrize("stages", [1, 2])
def test_parts_add_up_to_the_tone_and_a_layer_is_named(stages: int, draw) -> None:
    """Twenty-five seeds of each kind, a hundred together."""
    for seed in range(25):
        torch.manual_seed(seed)
        report = audit(decoder(stages), draw(1, 4, 8, 8))
        parts = [layer.output_db for layer in report.layers] + [report.rest_db]
        assert 10 * log10(sum(10 ** (part / 10) for part in parts)) == pytest.approx(report.tone_db, abs=1e-6)
        assert 10 * log10(sum(10 ** (part / 10) for part in parts[:-1])) == pytest.approx(report.tone_db, abs=0.01)
        assert report.worst is not None
        low, high = report.spread_db
        assert low <= report.tone_db <= high


class Kinked(nn.Module):
    """A sub-pixel layer whose grid shows in the bright only."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(torch.cat([x, x, x, x + F.relu(x - 0.6)], 1), 2)


def test_the_verdict_is_that_of_every_seed() -> None:
    x = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    reports = [audit(Kinked(), x, seed=seed) for seed in range(10)]
    assert not any(report.clean for report in reports)
    assert {report.worst for report in reports} == {0}
    assert max(r.tone_db for r in reports) - min(r.tone_db for r in reports) < 1.5


def test_every_line_is_said_with_the_layer_that_makes_it() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.ConvTranspose1d(6, 6, 10, 5), nn.ReLU(), nn.ConvTranspose1d(6, 3, 4, 2, 1))
    report = audit(model, torch.randn(1, 6, 32))
    assert [layer.period for layer in report.layers] == [(5,), (10,)]
    assert report.made_by == {"2": 1, "10": 0}
    from checkerscope.analysis.audit import text

    lines = text.lines(report, sample_rate=8000)
    assert any("800 Hz, by 0" in line for line in lines)
    assert any("4000 Hz, by 2" in line for line in lines)


def test_a_mask_is_the_rest() -> None:
    torch.manual_seed(0)
    mask = torch.ones(32, 32)
    mask[::2, ::2] = 0.5

    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(x, scale_factor=2) * mask

    report = audit(Masked(), torch.rand(1, 3, 16, 16))
    assert report.worst is None
    assert report.rest_db == pytest.approx(report.tone_db, abs=1e-6)
    assert report.made_by == {"2": None}


def test_lines_that_cancel_are_nobodys_and_shares_are_never_negative() -> None:
    tone = torch.tensor([0.0, 0.0, 1.0, 0.0])
    pieces = [torch.tensor([0.0, 0.0, 3.0, 2.0]), torch.tensor([0.0, 0.0, 1.0, 2.0]), torch.zeros(4)]
    parts = shared(tone, pieces, power=1.0, periods=[(2,), (4,)])
    assert parts.layers == (0.75, 0.25)
    assert parts.rest == 0
    assert parts.made_by == {(2,): 0, (4,): None}


def test_line_powers_sum_to_the_power() -> None:
    pattern = torch.randn(2, 3, 24, dtype=torch.float64)
    pattern -= pattern.mean(-1, keepdim=True)
    assert float(line_powers(pattern, (4, 6)).sum()) == pytest.approx(float(pattern.square().mean()))


def test_probes_stay_in_the_range_of_the_example() -> None:
    seen: list[tuple[float, float]] = []

    class Watched(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((x.detach().min().item(), x.detach().max().item()))
            return F.pixel_shuffle(x, 2)

    x = torch.rand(1, 4, 8, 8)
    audit(Watched(), x)
    assert min(low for low, _ in seen) >= x.min().item()
    assert max(high for _, high in seen) <= x.max().item()
