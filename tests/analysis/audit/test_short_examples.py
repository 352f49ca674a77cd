"""Examples shorter than two periods of the grid, and axes of length 1, where a reshape hides an enlargement."""

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

    def __init__(self, function: Callable[[nn.Module, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def frames_by_stack(m: nn.Module, x: Tensor) -> Tensor:
    n, c, t, h, w = x.shape
    y = m.mix(x).reshape(n, 2, c, t, h, w)
    return torch.stack([y[:, 0], y[:, 1]], 3).reshape(n, c, 2 * t, h, w)


def frames_by_view(m: nn.Module, x: Tensor) -> Tensor:
    n, c, t, h, w = (y := m.mix(x)).shape
    return y.reshape(n, c // 2, 2, t, h, w).permute(0, 1, 3, 2, 4, 5).reshape(n, c // 2, 2 * t, h, w)


def frames_repeated(m: nn.Module, x: Tensor) -> Tensor:
    return m.mix(x).repeat_interleave(2, 2)


def voxels(m: nn.Module, x: Tensor) -> Tensor:
    n, c, d, h, w = (y := m.mix(x)).shape
    y = y.view(n, c // 8, 2, 2, 2, d, h, w).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return y.reshape(n, c // 8, 2 * d, 2 * h, 2 * w)


def patches(m: nn.Module, x: Tensor) -> Tensor:
    """Tokens of a video put back into frames, channels last within a patch."""
    n, _, t, h, w = x.shape
    y = m.mix(x).flatten(2).transpose(1, 2).reshape(n, t, h, w, 2, 2, 2, 3)
    return torch.einsum("nthwpqrc->nctphqwr", y).reshape(n, 3, 2 * t, 2 * h, 2 * w)


def pixels(m: nn.Module, x: Tensor) -> Tensor:
    n, c, h, w = (y := m.mix(x)).shape
    return y.view(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // 4, 2 * h, 2 * w)


def bottleneck(m: nn.Module, x: Tensor) -> Tensor:
    """Four times smaller, twice larger by a reshape, and a skip connection."""
    deep = pixels(m, F.max_pool2d(F.relu(m.enter(x)), 4))
    return m.leave(torch.cat([F.interpolate(deep, scale_factor=2), x], 1))


def conv3(c_out: int) -> nn.Module:
    return nn.Conv3d(6, c_out, 1)


def deep(layer: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(layer(), nn.ReLU(), layer(), nn.ReLU(), layer())


def bottlenecked() -> nn.Module:
    enter, leave = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(12, 3, 3, padding=1)
    return Module(bottleneck, enter=enter, mix=nn.Conv2d(6, 24, 1), leave=leave)


def resized() -> nn.Module:
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(6, 6, 3, padding=1))


@dataclass(frozen=True)
class Case:
    name: str
    build: Callable[[], nn.Module]
    clean: bool
    shapes: tuple[tuple[int, ...], ...]


FRAMES = tuple((1, 6, t, 4, 4) for t in (1, 2, 3))
PIXELS = tuple((1, 6, side, side) for side in (1, 2, 3))
CASES = [
    Case("frames by stack", lambda: Module(frames_by_stack, mix=conv3(12)), False, FRAMES),
    Case("frames by view", lambda: Module(frames_by_view, mix=conv3(12)), False, FRAMES),
    Case("frames repeated", lambda: Module(frames_repeated, mix=conv3(6)), True, FRAMES),
    Case("voxels", lambda: Module(voxels, mix=conv3(24)), False, FRAMES),
    Case("video patches", lambda: Module(patches, mix=conv3(24)), False, FRAMES),
    Case("transposed volume", lambda: nn.ConvTranspose3d(6, 3, 4, 2, 1), False, FRAMES),
    Case("resized volume", lambda: nn.Sequential(nn.Upsample(scale_factor=2), conv3(3)), True, FRAMES),
    Case("transposed frames", lambda: nn.ConvTranspose3d(6, 3, (4, 1, 1), (2, 1, 1), (1, 0, 0)), False, FRAMES),
    Case("pixels", lambda: Module(pixels, mix=nn.Conv2d(6, 24, 1)), False, PIXELS),
    Case("pixel shuffle", lambda: nn.Sequential(nn.Conv2d(6, 24, 1), nn.PixelShuffle(2)), False, PIXELS),
    Case("three transposed", lambda: deep(lambda: nn.ConvTranspose2d(6, 6, 4, 2, 1)), False, PIXELS),
    Case("three resized", lambda: deep(resized), True, PIXELS),
    Case("bottleneck", bottlenecked, False, ((1, 6, 4, 4), (1, 6, 8, 8))),
]
ROWS = [pytest.param(case, shape, id=f"{case.name} {shape}") for case in CASES for shape in case.shapes]


@pytest.mark.parametrize(("case", "shape"), ROWS)
def test_the_verdict_is_that_of_a_large_example(case: Case, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = case.build()
    report = audit(model, torch.randn(shape))
    large = audit(model, torch.randn(*shape[:2], *(8,) * (len(shape) - 2)))
    assert report.clean is large.clean is case.clean, report.verdict
    if not case.clean:  # a resize of one value along an axis is none
        assert [layer.scale for layer in report.layers] == [layer.scale for layer in large.layers]


def test_a_larger_example_is_said() -> None:
    torch.manual_seed(0)
    report = audit(nn.ConvTranspose2d(6, 6, 4, 2, 1), torch.randn(1, 6, 1, 1))
    assert report.notes == ("the example was made larger, to show two periods: (1, 6, 1, 1) to (1, 6, 4, 4)",)
    assert "note: the example was made larger" in str(report)


def test_frames_that_are_worked_on_one_by_one() -> None:
    """A causal decoder never sees more than one frame, and makes two of each: channels are all that it shows."""

    def one_by_one(m: nn.Module, x: Tensor) -> Tensor:
        return torch.cat([m.frame(frame) for frame in x.split(1, 2)], 2)

    torch.manual_seed(0)
    for way, clean in ((frames_by_view, False), (frames_by_stack, False), (frames_repeated, True)):
        inner = Module(way, mix=conv3(6 if clean else 12))
        report = audit(Module(one_by_one, frame=inner), torch.randn(1, 6, 4, 8, 8))
        assert report.clean is clean, report.verdict
        assert [layer.scale for layer in report.layers] == [(2, 1, 1)]


class Opaque(torch.autograd.Function):
    """A kernel of somebody's own: nothing in it is an operator of torch's."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy().repeat(2, 2).repeat(2, 3))


def test_a_larger_output_without_an_enlargement_is_never_clean() -> None:
    """Its way through NumPy cannot be followed: the output belongs to no input."""
    report = audit(Module(lambda m, x: Opaque.apply(m.mix(x)), mix=nn.Conv2d(6, 6, 1)), torch.randn(1, 6, 16, 16))
    assert (report.clean, report.judgement) == (False, "cannot be judged")


def columns_side_by_side(m: nn.Module, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    pair = torch.cat([x, m.other(x)], 3)
    return pair.view(n, c, h, 2, w).transpose(3, 4).reshape(n, c, h, 2 * w)


def columns_by_index(m: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([x, m.other(x)], 3)[..., torch.arange(2 * x.shape[3]).view(2, -1).T.flatten()]


def rows_one_by_one(m: nn.Module, x: Tensor) -> Tensor:
    pairs = zip(x.split(1, 2), m.other(x).split(1, 2), strict=True)
    return torch.cat([row for pair in pairs for row in pair], 2)


def scattered(m: nn.Module, x: Tensor) -> Tensor:
    n, c, h, w = (y := m.other(x)).shape
    at = (torch.arange(h)[:, None] * 4 * w + torch.arange(w) * 2).flatten()
    doubled = sum(torch.zeros(n, c, 4 * h * w).scatter(2, (at + s).expand(n, c, -1), y.flatten(2)) for s in (0, 1))
    return (doubled + doubled.roll(2 * w, 2)).view(n, c, 2 * h, 2 * w)


@pytest.mark.parametrize("way", [columns_side_by_side, columns_by_index, rows_one_by_one, scattered])
def test_pixels_put_together_in_a_way_that_cannot_be_followed(way: Callable[[nn.Module, Tensor], Tensor]) -> None:
    """Two maps that differ make a grid: never clean. Two that are the same make none."""
    torch.manual_seed(0)
    x = torch.rand(1, 6, 16, 16)
    assert audit(Module(way, other=nn.Identity()), x).clean
    if way is not scattered:
        report = audit(Module(way, other=nn.Conv2d(6, 6, 3, padding=1)), x)
        assert (report.clean, report.judgement) == (False, "cannot be judged")


def test_zeros_between_scattered_pixels_are_not_clean() -> None:
    """Into a flat vector: the map's axes are lost on the way."""

    def spread(m: nn.Module, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        at = (torch.arange(h)[:, None] * 4 * w + torch.arange(w) * 2).flatten().expand(n, c, -1)
        return m.mix(torch.zeros(n, c, 4 * h * w).scatter_add(2, at, x.flatten(2)).view(n, c, 2 * h, 2 * w))

    report = audit(Module(spread, mix=nn.Conv2d(6, 6, 3, padding=1)), torch.rand(1, 6, 16, 16))
    assert (report.clean, report.judgement) == (False, "cannot be judged")


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_a_resize_of_one_pixel_is_found(mode: str) -> None:
    report = audit(nn.Upsample(scale_factor=2, mode=mode), torch.rand(1, 6, 1, 1))
    assert (report.judgement, [layer.scale for layer in report.layers]) == ("clean", [(2, 2)])


def test_weights_that_are_nowhere_are_refused() -> None:
    with pytest.raises(ValueError, match="audit: model: expected weights in memory, got weights on the meta device"):
        audit(nn.ConvTranspose2d(6, 6, 4, 2, 1, device="meta"), torch.rand(1, 6, 4, 4))


def test_a_model_of_one_size_that_is_too_short_is_refused_in_one_line() -> None:
    layers = nn.Sequential(nn.ConvTranspose2d(6, 6, 4, 2, 1), nn.ConvTranspose2d(6, 6, 4, 2, 1))

    def one_size(m: nn.Module, x: Tensor) -> Tensor:
        if x.shape[2] != 1:
            raise RuntimeError("one size")
        return m.up(x)

    expected = r"expected an output of two periods \(4, 4\) of its grid, got sides \(4, 4\)"
    with pytest.raises(ValueError, match=expected):
        audit(Module(one_size, up=layers), torch.randn(1, 6, 1, 1))


def test_vectors_are_no_short_maps() -> None:
    """A linear layer behind a vector draws the whole first map: there is nothing to make longer."""
    torch.manual_seed(0)
    for last, clean in ((nn.ConvTranspose2d(6, 3, 4, 2, 1), False), (nn.Upsample(scale_factor=2), True)):
        model = nn.Sequential(nn.Linear(8, 96), nn.Unflatten(1, (6, 4, 4)), last)
        report = audit(model, torch.randn(2, 8))
        assert (report.clean, report.notes) == (clean, ())
