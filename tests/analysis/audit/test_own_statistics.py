"""Networks that divide by statistics of their own map, written in every way: the grid shows all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.audit.procedure import audit

SMALL = 1e-5


def revin(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean((2, 3), keepdim=True), x.std((2, 3), keepdim=True)


def by_variance(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean((-2, -1), keepdim=True), (x.var((-2, -1), keepdim=True, correction=0) + SMALL).sqrt()


def by_hand(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = x.sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3])
    return mean, (x - mean).pow(2).mean((2, 3), keepdim=True).sqrt()


def demucs(x: Tensor) -> tuple[Tensor, Tensor]:
    mono = x.mean(1, keepdim=True)
    return mono.mean((1, 2, 3), keepdim=True), mono.std((1, 2, 3), keepdim=True)


def whole(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean(), x.std()


def var_mean(x: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(x, (2, 3), keepdim=True)
    return mean, variance.sqrt()


def std_mean(x: Tensor) -> tuple[Tensor, Tensor]:
    deviation, mean = torch.std_mean(x.flatten(2), -1)
    return mean[..., None, None], deviation[..., None, None]


def groups(x: Tensor) -> tuple[Tensor, Tensor]:
    g = x.view(len(x), 2, -1)
    mean, deviation = g.mean(2, keepdim=True), g.std(2, keepdim=True)
    return tuple(v.repeat_interleave(x.shape[1] // 2, 1)[..., None] for v in (mean, deviation))


def extremes(x: Tensor) -> tuple[Tensor, Tensor]:
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return low, high - low


def max_of_view(x: Tensor) -> tuple[Tensor, Tensor]:
    flat = x.flatten(1)
    low, high = flat.min(1).values, flat.max(1).values
    return low[:, None, None, None], (high - low)[:, None, None, None]


def vector_norm(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = x.mean((2, 3), keepdim=True)
    return mean, torch.linalg.vector_norm(x - mean, dim=(2, 3), keepdim=True) / 16


def rows(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean(3, keepdim=True), x.std(3, keepdim=True)


def pooled(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = F.adaptive_avg_pool2d(x, 1)
    return mean, (F.adaptive_avg_pool2d(x * x, 1) - mean * mean).clamp_min(0).sqrt()


def quantiles(x: Tensor) -> tuple[Tensor, Tensor]:
    low, high = torch.quantile(x.flatten(2), torch.tensor([0.05, 0.95]), -1)
    return low[..., None, None], (high - low)[..., None, None]


def median(x: Tensor) -> tuple[Tensor, Tensor]:
    middle = x.flatten(2).median(-1).values[..., None, None]
    return middle, (x - middle).abs().flatten(2).median(-1).values[..., None, None]


def einsum(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = torch.einsum("nchw->nc", x)[..., None, None] / (x.shape[2] * x.shape[3])
    centred = x - mean
    return mean, (torch.einsum("nchw,nchw->nc", centred, centred) / (x.shape[2] * x.shape[3])).sqrt()[..., None, None]


def nearby(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = F.avg_pool2d(x, 7, 1, 3, count_include_pad=False)
    return mean, (F.avg_pool2d(x * x, 7, 1, 3, count_include_pad=False) - mean * mean).clamp_min(0).sqrt()


WAYS = [
    *(revin, by_variance, by_hand, demucs, whole, var_mean, std_mean, groups, extremes, max_of_view, vector_norm),
    *(rows, pooled, quantiles, median, einsum, nearby),
]


class Rescaled(nn.Module):
    """Works on its input without mean and deviation, which come back at the end if they have its size."""

    def __init__(self, statistics: Callable[[Tensor], tuple[Tensor, Tensor]], up: nn.Module) -> None:
        super().__init__()
        self.statistics, self.enter, self.up = statistics, nn.Conv2d(4, 8, 3, padding=1), up

    def forward(self, x: Tensor) -> Tensor:
        mean, deviation = self.statistics(x)
        y = self.up(F.relu(self.enter((x - mean) / (deviation + SMALL))))
        mean, deviation = (_sized(v, y) for v in (mean, deviation))
        return y * deviation + mean


def _sized(x: Tensor, y: Tensor) -> Tensor:
    if x.dim() and x.shape[2:].numel() > 1:
        return F.interpolate(x, size=y.shape[2:])
    return x


def dirty() -> nn.Module:
    return nn.ConvTranspose2d(8, 4, 4, 2, 1)


def clean() -> nn.Module:
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(8, 4, 3, padding=1))


@pytest.mark.parametrize("build", [dirty, clean])
@pytest.mark.parametrize("way", WAYS)
def test_own_statistics(way: Callable[..., object], build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    report = audit(Rescaled(way, build()), torch.rand(1, 4, 16, 16))
    assert report.clean is (build is clean), report.verdict
    if build is dirty and way is not nearby:
        assert report.tone_db > -30
        assert report.worst is not None


@pytest.mark.parametrize("build", [dirty, clean])
def test_a_norm_over_space_by_layer_norm(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Flatten(2), nn.LayerNorm(256), nn.Unflatten(2, (16, 16)))
    report = audit(nn.Sequential(model, build()), torch.rand(1, 4, 16, 16))
    assert report.clean is (build is clean), report.verdict


def test_series_rescaled_by_their_own_deviation() -> None:
    class Series(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose1d(3, 3, 4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            mean, deviation = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
            return self.up((x - mean) / deviation) * deviation + mean

    torch.manual_seed(0)
    assert not audit(Series(), torch.rand(2, 3, 64)).clean


def test_pooling_of_small_windows_is_the_signal_and_no_statistic() -> None:
    """Held at the example's values, a map that is pooled by a view would no longer be flat."""

    class Pooled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            n, c, h, w = x.shape
            y = x.view(n, c, h // 2, 2, w // 2, 2).mean((3, 5))
            return F.interpolate(y, scale_factor=2)

    report = audit(Pooled(), torch.rand(1, 4, 16, 16))
    assert report.clean
    assert report.tone_db < -100
