"""More ways to write an enlargement, and models in which something else looks like a grid or hides one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.audit.procedure import audit
from tests.analysis.audit.decoders import Lambda, conv, inputs


def up_conv() -> nn.Module:
    return nn.ConvTranspose2d(6, 6, 4, 2, 1)


def double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2)


def stacked(m, x: Tensor) -> Tensor:
    wide = torch.stack([m.a(x), m.b(x)], -1).flatten(-2)
    return torch.stack([m.c(wide), m.d(wide)], -2).flatten(-3, -2)


def depth_to_space(m, x: Tensor) -> Tensor:
    n, h, w, c = (y := m.conv(x).permute(0, 2, 3, 1)).shape
    return y.reshape(n, h, w, 2, 2, c // 4).permute(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, c // 4)


def unpatchify(m, x: Tensor) -> Tensor:
    tokens = m.head(m.embed(x).flatten(2).transpose(1, 2)).reshape(len(x), 4, 4, 4, 4, 3)
    return torch.einsum("nhwpqc->nchpwq", tokens).reshape(len(x), 3, 16, 16)


def patch_expand(m, x: Tensor) -> Tensor:
    n, _, h, w = x.shape
    tokens = m.expand(x.flatten(2).transpose(1, 2)).view(n, h, w, 2, 2, 3)
    tokens = m.norm(tokens.permute(0, 1, 3, 2, 4, 5).reshape(n, 4 * h * w, 3))
    return m.out(tokens.view(n, 2 * h, 2 * w, 3).permute(0, 3, 1, 2))


def masked(m, x: Tensor) -> Tensor:
    mask = torch.zeros(32, 32)
    mask[::2, ::2] = 1
    return double(x) * mask


def by_index(m, x: Tensor) -> Tensor:
    rows, y = torch.arange(16) * 2, torch.zeros(1, 6, 32, 32)
    y[:, :, rows[:, None], rows] = x
    return y


def by_index_copy(m, x: Tensor) -> Tensor:
    rows = torch.arange(16) * 2
    return torch.zeros(1, 6, 32, 32).index_copy(3, rows, torch.zeros(1, 6, 32, 16).index_copy(2, rows, x))


def pasted(m, x: Tensor) -> Tensor:
    y = torch.zeros(1, 6, 32, 32)
    y[:, :, torch.arange(8, 24)[:, None], torch.arange(8, 24)] = x
    return m.up(y)


def with_coordinates(m, x: Tensor) -> Tensor:
    line = torch.linspace(-1, 1, 32)
    return m.out(torch.cat([double(x), torch.stack(torch.meshgrid(line, line, indexing="ij"))[None]], 1))


def with_drawn_noise(m, x: Tensor) -> Tensor:
    y = F.leaky_relu(m.a(double(x)) + 0.3 * torch.randn(1, 1, 32, 32))
    return m.out(F.leaky_relu(m.b(double(y)) + 0.3 * torch.randn(1, 1, 64, 64)))


def skip_of_odd_size(m, x: Tensor) -> Tensor:
    up = F.interpolate(m.deep(m.down(x)), size=x.shape[2:])
    return m.out(torch.cat([up, x], 1))


def cropped_skip(m, x: Tensor) -> Tensor:
    return m.out(torch.cat([m.up(m.down(x))[..., : x.shape[2], : x.shape[3]], x], 1))


def padded_skip(m, x: Tensor) -> Tensor:
    up = m.up(F.max_pool2d(x, 2))
    up = F.pad(up, [0, x.shape[3] - up.shape[3], 0, x.shape[2] - up.shape[2]])
    return m.out(torch.cat([up, x], 1))


def istft(m, x: Tensor) -> Tensor:
    return torch.istft(torch.complex(*m.conv(x).chunk(2, 1)), 16, 8, 16, window=torch.hann_window(16))[:, None]


def overlap_add(m, x: Tensor) -> Tensor:
    frames = torch.fft.irfft(torch.complex(*m.conv(x).chunk(2, 1)), 16, dim=1) * torch.hann_window(16)[:, None]
    return F.fold(frames, (1, (x.shape[-1] - 1) * 8 + 16), (1, 16), stride=(1, 8))[:, :, 0]


def interleaved_samples(m, x: Tensor) -> Tensor:
    n, c, length = (y := m.conv(x)).shape
    return y.view(n, c // 4, 4, length).transpose(2, 3).reshape(n, c // 4, 4 * length)


def frames_doubled(m, x: Tensor) -> Tensor:
    n, c, t, h, w = x.shape
    y = m.conv(x).reshape(n, 2, c, t, h, w)
    return torch.stack([y[:, 0], y[:, 1]], 3).reshape(n, c, 2 * t, h, w)


def space_then_time(m, x: Tensor) -> Tensor:
    n, c, t, h, w = x.shape
    y = m.space(double(x.permute(0, 2, 1, 3, 4).reshape(n * t, c, h, w)))
    return m.time(y.reshape(n, t, c, 2 * h, 2 * w).permute(0, 2, 1, 3, 4))


def voxel_shuffle(m, x: Tensor) -> Tensor:
    n, c, d, h, w = (y := m.conv(x)).shape
    y = y.view(n, c // 8, 2, 2, 2, d, h, w).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return y.reshape(n, c // 8, 2 * d, 2 * h, 2 * w)


def normalized(dims: int, norm: type[nn.Module], *own: int) -> nn.Module:
    """Blocks in which a flat map has no variance left to normalize by."""
    c = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    mode = ("linear", "bilinear", "trilinear")[dims - 1]
    blocks = [
        nn.Sequential(nn.Upsample(scale_factor=2, mode=mode), c(8, 8, 3, padding=1), norm(*own), nn.ReLU())
        for _ in range(3)
    ]
    return nn.Sequential(*blocks, *(nn.Sequential(c(8, 8, 3, padding=1), norm(*own), nn.ReLU()) for _ in range(5)))


@dataclass(frozen=True)
class Case:
    """A module, whether its output is clean, and the kinds of the enlargements in order."""

    name: str
    build: Callable[[], nn.Module]
    clean: bool
    kinds: tuple[str, ...]
    shape: tuple[int, ...] = (1, 6, 16, 16)


T, SHUFFLE, RESHAPE = "transposed convolution", "sub-pixel shuffle", "shuffle by reshape"
NEAREST, LINEAR, ZEROS, REPEAT = "interpolation (nearest)", "interpolation (linear)", "zero insertion", "repetition"

CASES = [
    Case("pixel_shuffle", lambda: Lambda(lambda m, x: F.pixel_shuffle(m.c(x), 2), c=conv(6, 24)), False, (SHUFFLE,)),
    Case(
        "expand",
        lambda: Lambda(lambda m, x: x[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2).reshape(1, 6, 32, 32)),
        True,
        (REPEAT,),
    ),
    Case("stack", lambda: Lambda(stacked, a=conv(), b=conv(), c=conv(), d=conv()), False, (RESHAPE,) * 2),
    Case("channels_last_output", lambda: Lambda(depth_to_space, conv=conv(6, 24)), False, (RESHAPE,)),
    Case("einsum", lambda: Lambda(unpatchify, embed=nn.Conv2d(6, 12, 4, 4), head=nn.Linear(12, 48)), False, (RESHAPE,)),
    Case(
        "patch_expand",
        lambda: Lambda(patch_expand, expand=nn.Linear(6, 12), norm=nn.LayerNorm(3), out=nn.Conv2d(3, 3, 1)),
        False,
        (RESHAPE,),
    ),
    Case(
        "unpool_module",
        lambda: Lambda(lambda m, x: m.un(*m.pool(x)), pool=nn.MaxPool2d(2, return_indices=True), un=nn.MaxUnpool2d(2)),
        False,
        ("max-unpooling",),
    ),
    Case(
        "fold_module",
        lambda: Lambda(lambda m, x: m.fold(m.c(x).flatten(2)), c=conv(6, 27), fold=nn.Fold((33, 33), 3, stride=2)),
        False,
        ("fold",),
    ),
    Case("index_put", lambda: Lambda(by_index), False, (ZEROS,)),
    Case("index_copy", lambda: Lambda(by_index_copy), False, (ZEROS,) * 2),
    Case("pasted_is_no_enlargement", lambda: Lambda(pasted, up=nn.Upsample(scale_factor=2)), True, (NEAREST,)),
    Case("vmap", lambda: Lambda(lambda m, x: torch.vmap(lambda z: m.up(z[None])[0])(x), up=up_conv()), False, (T,)),
    Case("in_place", lambda: nn.Sequential(up_conv(), nn.ReLU(inplace=True), conv()), False, (T,)),
    Case("spectral_norm", lambda: nn.utils.parametrizations.spectral_norm(up_conv()), False, (T,)),
    Case("dcgan", lambda: nn.Sequential(nn.ConvTranspose2d(6, 6, 4), nn.ReLU(), up_conv()), False, (T,), (2, 6, 1, 1)),
    # what is there without any enlargement is content, unless it is a grid
    Case("coordinates", lambda: Lambda(with_coordinates, out=conv(8, 3)), True, (NEAREST,)),
    Case("drawn_noise", lambda: Lambda(with_drawn_noise, a=conv(), b=conv(), out=conv(6, 3)), True, (NEAREST,) * 2),
    Case(
        "kept_noise",
        lambda: Lambda(
            lambda m, x: m.b(F.leaky_relu(m.a(double(x)) + 0.3 * m.n)), a=conv(), b=conv(), n=torch.randn(1, 1, 32, 32)
        ),
        True,
        (NEAREST,),
    ),
    Case("mask", lambda: Lambda(masked), False, (NEAREST,)),
    # sizes
    Case(
        "odd_skip",
        lambda: Lambda(skip_of_odd_size, down=nn.Conv2d(6, 6, 3, 2, 1), deep=conv(), out=conv(12, 3)),
        True,
        (NEAREST,),
        (1, 6, 17, 17),
    ),
    Case(
        "cropped_skip",
        lambda: Lambda(cropped_skip, down=nn.Conv2d(6, 6, 3, 2, 1), up=up_conv(), out=conv(12, 3)),
        False,
        (T,),
        (1, 6, 17, 19),
    ),
    Case(
        "padded_skip",
        lambda: Lambda(padded_skip, up=nn.ConvTranspose2d(6, 6, 2, 2), out=conv(12, 3)),
        False,
        (T,),
        (1, 6, 17, 19),
    ),
    # one and three dimensions
    Case("istft", lambda: Lambda(istft, conv=nn.Conv1d(6, 18, 1)), False, ("overlap-add",), (1, 6, 64)),
    Case("overlap_add", lambda: Lambda(overlap_add, conv=nn.Conv1d(6, 18, 1)), False, ("fold",), (1, 6, 64)),
    Case("samples", lambda: Lambda(interleaved_samples, conv=nn.Conv1d(6, 24, 3)), False, (RESHAPE,), (1, 6, 64)),
    Case("frames", lambda: Lambda(frames_doubled, conv=nn.Conv3d(6, 12, 1)), False, (RESHAPE,), (1, 6, 4, 8, 8)),
    Case(
        "space_then_time",
        lambda: Lambda(space_then_time, space=conv(), time=nn.ConvTranspose3d(6, 6, (4, 1, 1), (2, 1, 1), (1, 0, 0))),
        False,
        (NEAREST, T),
        (1, 6, 4, 8, 8),
    ),
    Case("voxels", lambda: Lambda(voxel_shuffle, conv=nn.Conv3d(6, 24, 1)), False, (RESHAPE,), (1, 6, 8, 8, 8)),
    # rounding that a normalization of nothing would blow up
    Case("instance_norm", lambda: normalized(2, nn.InstanceNorm2d, 8), True, (LINEAR,) * 3, (1, 8, 8, 8)),
    Case("lone_groups", lambda: normalized(3, nn.GroupNorm, 8, 8), True, (LINEAR,) * 3, (1, 8, 4, 4, 4)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_matrix(case: Case) -> None:
    torch.manual_seed(7)
    model = case.build()
    report = audit(model, inputs(*case.shape))
    assert tuple(layer.kind for layer in report.layers) == case.kinds
    assert report.clean is case.clean, report.verdict
    assert case.clean or report.tone_db > -45
    assert not case.clean or report.tone_db is None or report.tone_db < -65


def test_a_grid_that_no_layer_makes_is_blamed_on_none() -> None:
    report = audit(Lambda(masked), inputs(1, 6, 16, 16))
    assert report.worst is None
    assert "that no enlargement makes" in report.verdict


def test_a_grid_shows_beneath_content_of_the_models_own() -> None:
    """Coordinates and kept noise hide no grid: what the enlargement changes tells it."""
    torch.manual_seed(0)
    up, mix, content = up_conv(), conv(), inputs(1, 6, 32, 32)
    plain = audit(Lambda(lambda m, x: m.mix(m.up(x)), up=up, mix=mix), inputs(1, 6, 16, 16))
    noisy = audit(Lambda(lambda m, x: m.mix(m.up(x) + m.n), up=up, mix=mix, n=content), inputs(1, 6, 16, 16))
    rms = [report.contrast * 10 ** (report.tone_db / 20) for report in (plain, noisy)]
    assert rms[1] == pytest.approx(rms[0], rel=0.2)


def test_drift_is_reported_and_not_judged() -> None:
    model = Lambda(skip_of_odd_size, down=nn.Conv2d(6, 6, 3, 2, 1), deep=conv(), out=conv(12, 3))
    report = audit(model, inputs(1, 6, 17, 17))
    assert [layer.drifts for layer in report.layers] == [True]
    assert report.layers[0].scale == (17 / 9, 17 / 9)
    assert "drifts" in str(report)


class Recursive(nn.Module):
    """Calls itself."""

    def __init__(self) -> None:
        super().__init__()
        self.up = up_conv()

    def forward(self, x: Tensor, depth: int = 2) -> Tensor:
        return self(self.up(x), depth - 1) if depth else x


def test_recursion() -> None:
    torch.manual_seed(0)
    report = audit(Recursive(), inputs(1, 6, 8, 8))
    assert [(layer.path, layer.period) for layer in report.layers] == [("up", (2, 2)), ("up", (4, 4))]


@dataclass
class Decoded:
    """An output that is no tensor."""

    sample: Tensor
    other: object = None


def test_outputs_in_dataclasses_are_judged() -> None:
    report = audit(Lambda(lambda m, x: Decoded(by_index(m, x), ["text", 3])), inputs(1, 6, 16, 16))
    assert (report.output, report.clean) == ("sample", False)


@pytest.mark.parametrize("way", ["compile", "compile_in_place", "script", "trace", "export"])
def test_compiled_models_are_audited_like_the_plain_one(way: str) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(up_conv(), nn.ReLU()).eval()
    expected = audit(plain, inputs(1, 6, 16, 16)).tone_db
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if way == "compile_in_place":
            plain.compile()
        model = {
            "compile": lambda: torch.compile(plain),
            "compile_in_place": lambda: plain,
            "script": lambda: torch.jit.script(plain),
            "trace": lambda: torch.jit.trace(plain, inputs(1, 6, 16, 16)),
            "export": lambda: torch.export.export(plain, (inputs(1, 6, 16, 16),)).module(),
        }[way]()
        report = audit(model, inputs(1, 6, 16, 16))
    assert report.layers[0].kind == T
    assert report.tone_db == pytest.approx(expected, abs=1e-3)


def test_buffers_that_are_replaced_are_put_back() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.count = self.count + 1
            return double(x)

    model = Counting()
    before = model.count
    audit(model, inputs(1, 6, 8, 8))
    assert model.count is before
    assert model.count == 0


def test_lazy_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="audit: model: expected initialized parameters, got lazy ones; run the model"):
        audit(nn.LazyConvTranspose2d(3, 2, 2), inputs(1, 6, 8, 8))


def test_a_failure_on_a_probe_is_one_line() -> None:
    def forward(m, x):
        if torch.equal(x, x.flip(-1)):
            raise RuntimeError("flat images are refused\nhere is why")
        return double(x)

    with pytest.raises(
        ValueError, match=r"audit: the model fails on a periodic map \[\(1, 1, 8, 8\)\]: RuntimeError: flat images"
    ) as caught:
        audit(Lambda(forward), inputs(1, 1, 8, 8))
    assert "\n" not in str(caught.value)
