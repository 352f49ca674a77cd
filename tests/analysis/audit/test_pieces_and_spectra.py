"""Maps cut into tiles, transformed, or gathered from windows: what is a grid there, and what only looks like one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.audit.procedure import audit


class Module(nn.Module):
    """A module whose forward is a function of the input and of the layers given."""

    def __init__(self, function: Callable[[nn.Module, Tensor], Tensor], **layers: nn.Module | Tensor) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            if isinstance(layer, nn.Module):
                self.add_module(name, layer)
            else:
                self.register_buffer(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


@dataclass(frozen=True)
class Case:
    name: str
    build: Callable[[], nn.Module]
    judgement: str
    shape: tuple[int, ...] = (1, 4, 32, 32)
    layers: int = 1


def decoder(kernel: int) -> nn.Module:
    first, last = (nn.Conv2d(a, b, kernel, padding=kernel // 2) for a, b in ((4, 8), (8, 3)))
    return nn.Sequential(first, nn.ReLU(), nn.Upsample(scale_factor=2), last)


def joined(m: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([torch.cat([m.decode(q) for q in row.split(8, 3)], 3) for row in x.split(8, 2)], 2)


def pasted(m: nn.Module, x: Tensor) -> Tensor:
    out = x.new_zeros(len(x), 3, 64, 64)
    for i in range(0, 32, 8):
        for j in range(0, 32, 8):
            out[:, :, 2 * i : 2 * i + 16, 2 * j : 2 * j + 16] = m.decode(x[:, :, i : i + 8, j : j + 8])
    return out


def blended(m: nn.Module, x: Tensor) -> Tensor:
    out, weight = x.new_zeros(len(x), 3, 64, 64), x.new_zeros(1, 1, 64, 64)
    for i in range(0, 25, 6):
        for j in range(0, 25, 6):
            window = (..., slice(2 * i, 2 * i + 16), slice(2 * j, 2 * j + 16))
            out[window] += m.decode(x[:, :, i : i + 8, j : j + 8])
            weight[window] += 1
    return out / weight


def in_the_batch(m: nn.Module, x: Tensor) -> Tensor:
    tiles = x.view(len(x), 4, 4, 8, 4, 8).permute(0, 2, 4, 1, 3, 5).reshape(-1, 4, 8, 8)
    return m.decode(tiles).view(len(x), 4, 4, 3, 16, 16).permute(0, 3, 1, 4, 2, 5).reshape(len(x), 3, 64, 64)


def with_halo(m: nn.Module, x: Tensor) -> Tensor:
    wide = F.pad(x, (4, 4, 4, 4), mode="reflect")
    rows = []
    for i in range(0, 32, 8):
        tiles = [m.decode(wide[:, :, i : i + 16, j : j + 16])[..., 8:-8, 8:-8] for j in range(0, 32, 8)]
        rows.append(torch.cat(tiles, 3))
    return torch.cat(rows, 2)


TILED = [
    Case(f"{way.__name__} k{kernel}", lambda w=way, k=kernel: Module(w, decode=decoder(k)), judgement)
    for way in (joined, pasted, blended, in_the_batch)
    for kernel, judgement in ((3, "not clean"), (1, "clean"))
]
TILED.append(Case("with_halo k3", lambda: Module(with_halo, decode=decoder(3)), "clean"))
TILED.append(
    Case("joined, dirty inside", lambda: Module(joined, decode=nn.ConvTranspose2d(4, 3, 4, 2, 1)), "not clean")
)


def low_modes(m: nn.Module, x: Tensor) -> Tensor:
    f = torch.fft.rfft2(x)
    out = torch.zeros_like(f)
    out[:, :, :4, :4] = torch.einsum("bixy,io->boxy", f[:, :, :4, :4], m.weight)
    out[:, :, -4:, :4] = torch.einsum("bixy,io->boxy", f[:, :, -4:, :4], m.weight)
    return m.up(torch.fft.irfft2(out, s=x.shape[-2:]))


def fourier_unit(m: nn.Module, x: Tensor) -> Tensor:
    f = torch.fft.rfftn(x, dim=(-2, -1), norm="ortho")
    f = torch.stack((f.real, f.imag), -1).permute(0, 1, 4, 2, 3).contiguous()
    f = F.relu(m.mix(f.view(len(x), -1, *f.shape[3:])))
    f = f.view(len(x), -1, 2, *f.shape[2:]).permute(0, 1, 3, 4, 2).contiguous()
    return m.up(torch.fft.irfftn(torch.complex(f[..., 0], f[..., 1]), s=x.shape[-2:], dim=(-2, -1), norm="ortho"))


def global_filter(m: nn.Module, x: Tensor) -> Tensor:
    return m.up(torch.fft.ifft2(torch.fft.fft2(x) * m.weight).real)


def larger_spectrum(m: nn.Module, x: Tensor) -> Tensor:
    return torch.fft.irfft2(torch.fft.rfft2(x), s=(2 * x.shape[2], 2 * x.shape[3]))


def clean_up() -> nn.Module:
    return nn.Upsample(scale_factor=2)


def dirty_up() -> nn.Module:
    return nn.ConvTranspose2d(4, 4, 4, 2, 1)


def weight(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.cfloat)


UPS = ((nn.Identity, "nothing to judge", 0), (clean_up, "clean", 1), (dirty_up, "not clean", 1))
SPECTRAL = [
    case
    for up, judgement, layers in UPS
    for case in (
        Case(
            f"low modes, {judgement}",
            lambda up=up: Module(low_modes, weight=weight(4, 4), up=up()),
            judgement,
            (1, 4, 16, 16),
            layers,
        ),
        Case(
            f"Fourier unit, {judgement}",
            lambda up=up: Module(fourier_unit, mix=nn.Conv2d(8, 8, 1), up=up()),
            judgement,
            (1, 4, 18, 18),
            layers,
        ),
        Case(
            f"global filter, {judgement}",
            lambda up=up: Module(global_filter, weight=weight(4, 16, 16), up=up()),
            judgement,
            (1, 4, 16, 16),
            layers,
        ),
    )
]
SPECTRAL.append(Case("larger spectrum", lambda: Module(larger_spectrum), "clean", (1, 4, 16, 16)))


def unfolded(m: nn.Module, x: Tensor) -> Tensor:
    """Patches through a linear layer and back, divided by how many reach a pixel."""
    patches = m.mix(F.unfold(x, 4, stride=2).transpose(1, 2)).transpose(1, 2)
    count = F.fold(F.unfold(torch.ones_like(x), 4, stride=2), x.shape[2:], 4, stride=2)
    return F.fold(patches, x.shape[2:], 4, stride=2) / count


def convex(m: nn.Module, x: Tensor) -> Tensor:
    """Each pixel a mean of its 3 x 3 neighbours with weights of its own; without the softmax no mean any more."""
    y = m.flow(x)
    n, c, h, w = y.shape
    weights = m.squash(m.weights(x).view(n, 1, 9, 2, 2, h, w))
    neighbours = m.window(y).view(n, c, 9, 1, 1, h, w)
    return (weights * neighbours).sum(2).permute(0, 1, 4, 2, 5, 3).reshape(n, c, 2 * h, 2 * w)


class Replicated(nn.Module):
    """3 x 3 windows of a map that is padded by its edge."""

    def forward(self, x: Tensor) -> Tensor:
        return F.unfold(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3)


def raft(window: nn.Module, squash: nn.Module) -> nn.Module:
    return Module(convex, flow=nn.Conv2d(4, 2, 3, padding=1), weights=nn.Conv2d(4, 36, 1), window=window, squash=squash)


WINDOWED = [
    Case("fold of patches as they were", lambda: Module(unfolded, mix=nn.Identity()), "clean"),
    Case("fold of mixed patches", lambda: Module(unfolded, mix=nn.Linear(64, 64)), "not clean"),
    Case("convex", lambda: raft(nn.Unfold(3, padding=1), nn.Softmax(2)), "clean"),
    Case("convex, edge repeated", lambda: raft(Replicated(), nn.Softmax(2)), "clean"),
    Case("not convex", lambda: raft(nn.Unfold(3, padding=1), nn.Identity()), "not clean"),
    Case("softmax along the wrong axis", lambda: raft(nn.Unfold(3, padding=1), nn.Softmax(3)), "not clean"),
    Case(
        "average with zeros around",
        lambda: nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.Upsample(scale_factor=2), nn.AvgPool2d(3, 1, 1)),
        "clean",
    ),
]


@pytest.mark.parametrize("case", [*TILED, *SPECTRAL, *WINDOWED], ids=lambda case: case.name)
def test_pieces_and_spectra(case: Case) -> None:
    torch.manual_seed(0)
    report = audit(case.build(), torch.randn(case.shape))
    assert report.judgement == case.judgement, report.verdict
    assert len(report.layers) == case.layers
    if case.judgement == "clean":
        assert report.tone_db is None or report.tone_db < -80


@pytest.mark.parametrize("case", [c for c in TILED if c.name != "in_the_batch k1"], ids=lambda case: case.name)
def test_tiles_are_named_and_folded(case: Case) -> None:
    torch.manual_seed(0)
    report = audit(case.build(), torch.randn(case.shape))
    assert report.seam_db is not None
    assert "the map is worked on in tiles" in report.verdict.lower()
    assert report.layers[0].times == {"blended": 25, "in_the_batch": 1}.get(case.name.split()[0], 16)


def test_tiles_of_a_network_that_enlarges_nothing() -> None:
    torch.manual_seed(0)
    whole = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1))
    assert audit(whole, torch.randn(1, 4, 32, 32)).judgement == "nothing to judge"
    assert audit(Module(joined, decode=whole), torch.randn(1, 4, 32, 32)).judgement == "not clean"


def test_seams_have_the_strength_that_shows() -> None:
    """A tile that is half as bright in its outer ring: known in closed form."""

    class Ringed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = F.interpolate(x, scale_factor=2)
            ring = torch.full(y.shape[2:], 0.5)
            ring[2:-2, 2:-2] = 1
            return y * ring

    x = torch.full((1, 4, 32, 32), 0.5) + 0.1 * torch.randn(1, 4, 32, 32)
    report = audit(Module(joined, decode=Ringed()), x)
    level = float((x.amin() + x.amax()) / 2)
    share = 1 - (12 / 16) ** 2
    expected = 0.5 * level * (share * (1 - share)) ** 0.5
    found = report.contrast * 10 ** (report.seam_db / 20)
    assert found == pytest.approx(expected, rel=0.25)


def test_rounding_of_half_precision_is_said() -> None:
    """A cured layer in bfloat16 reads what rounding leaves: near the limit or over it, and not its fault."""
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(4, 4, 2, 2)
    with torch.no_grad():
        up.weight.copy_(torch.rand(4, 4, 1, 1).expand_as(up.weight))
    model = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), up, nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1))
    x = torch.rand(1, 4, 16, 16)
    assert audit(model, x).judgement == "clean"
    half = audit(model.bfloat16(), x.bfloat16())
    assert -50 < half.floor_db < -10
    assert half.judgement in ("clean", "borderline")
    assert "rounding in the model's precision alone leaves up to" in half.verdict
