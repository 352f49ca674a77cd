"""Remedies where the call stands: functional shuffles and transposed convolutions, normalized and shared kernels."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.audit.procedure import audit
from checkerscope.toolkit import catalog, parametrizations
from checkerscope.toolkit.contracts.remedy import PACKAGE
from checkerscope.toolkit.remedies import _sites, equal_gain, fold, hold, icnr, resize_conv, self_distil
from checkerscope.toolkit.training import loop
from checkerscope.toolkit.training.engine import Recipe


class Shuffled(nn.Module):
    """A functional pixel shuffle behind a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(F.leaky_relu(self.conv(x)), 2)


class Transposed(nn.Module):
    """A functional transposed convolution with a scaled weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(3, 5, 4, 4)), nn.Parameter(torch.randn(5))
        self.out = nn.Conv2d(5, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(F.conv_transpose2d(x, 0.3 * self.weight, self.bias, stride=2, padding=1)))


class Reshaped(nn.Module):
    """A shuffle written as reshape and permute, or einsum; `order` is that of channels and sub-pixels."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.conv, self.order = nn.Conv2d(3, 20, 3, padding=1), order

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(x))
        n, _, h, w = y.shape
        if self.order == "c i j":
            return y.view(n, 5, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, 5, 2 * h, 2 * w)
        if self.order == "i j c":
            return y.view(n, 2, 2, 5, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, 5, 2 * h, 2 * w)
        y = y.permute(0, 2, 3, 1).view(n, h, w, 5, 2, 2)
        return torch.einsum("nhwcij->nchiwj", y).reshape(n, 5, 2 * h, 2 * w)


class Steps(nn.Module):
    """A shuffle along one axis, then along the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        n, _, h, w = y.shape
        y = y.view(n, 6, 2, h, w).permute(0, 1, 3, 4, 2).reshape(n, 6, h, 2 * w)
        return y.view(n, 3, 2, h, 2 * w).permute(0, 1, 3, 2, 4).reshape(n, 3, 2 * h, 2 * w)


class Mixed(nn.Module):
    """One layer, one call."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.conv = nn.ConvTranspose2d(3, 8, 4, 2, 1), nn.Conv2d(8, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(F.relu(self.up(x))), 2)


class Patches(nn.Module):
    """A head that turns every token into a patch."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.head = nn.Conv2d(3, 16, 4, 4), nn.LayerNorm(16), nn.Linear(16, 48)

    def forward(self, x: Tensor) -> Tensor:
        y = self.embed(x)
        n, _, h, w = y.shape
        y = self.head(self.norm(y.flatten(2).transpose(1, 2))).view(n, h, w, 4, 4, 3)
        return torch.einsum("nhwijc->nchiwj", y).reshape(n, 3, 4 * h, 4 * w)


class Modulated(nn.Module):
    """A transposed convolution with one kernel per image, modulated and demodulated."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.style = nn.Parameter(torch.randn(1, 5, 3, 3, 3)), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        weight = self.weight * self.style(x.mean((2, 3))).view(n, 1, c, 1, 1)
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
        weight = weight.transpose(1, 2).reshape(n * c, 5, 3, 3)
        y = F.conv_transpose2d(x.reshape(1, n * c, h, w), weight, stride=2, padding=1, output_padding=1, groups=n)
        return y.view(n, 5, *y.shape[-2:])


class Line(nn.Module):
    """A shuffle of one axis."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y.view(len(y), 3, 4, -1).transpose(2, 3).reshape(len(y), 3, -1)


class Halves(nn.Module):
    """Two shuffles of one convolution, with a bias of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(24, 3, 3, 3)), nn.Parameter(torch.randn(24))

    def forward(self, x: Tensor) -> Tensor:
        first, second = (F.conv2d(x, self.weight, padding=1) + self.bias.view(1, -1, 1, 1)).chunk(2, 1)
        return F.pixel_shuffle(first, 2) + F.pixel_shuffle(F.relu(second), 2)


class Twice(nn.Module):
    """One convolution in front of two shuffles, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(F.pixel_shuffle(self.conv(x), 2)), 2)


class Flipped(nn.Module):
    """A transposed convolution whose weight is stored the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 3, 4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, (0.1 * self.weight).flip(2, 3).transpose(0, 1), stride=2, padding=1)


class Trimmed(nn.Module):
    """A transposed convolution whose surroundings read its attributes to trim the result, as audio codecs do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(3, 3, 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        extra = self.conv.kernel_size[0] - self.conv.stride[0]
        y = self.conv(x)
        return y[..., extra - extra // 2 : y.shape[-1] - extra // 2]


class Folded(nn.Module):
    """Overlapping patches added up."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 48, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        return F.fold(self.conv(x).flatten(2), (2 * h, 2 * w), 4, stride=2, padding=1)


class Stacked(nn.Module):
    """One convolution for every phase."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        y = torch.stack([conv(x) for conv in self.convs], 2).view(n, 3, 2, 2, h, w)
        return y.permute(0, 1, 4, 2, 5, 3).reshape(n, 3, 2 * h, 2 * w)


class Unpooled(nn.Module):
    """Values put back where the maxima were."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y, indices = F.max_pool2d(self.conv(x), 2, return_indices=True)
        return F.max_unpool2d(y, indices, 2)


class Assigned(nn.Module):
    """A layer, then one convolution for every phase, written to every second place."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 3, 4, 2, 1)
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(x)
        n, c, h, w = x.shape
        y = x.new_zeros(n, c, 2 * h, 2 * w)
        for phase, conv in enumerate(self.convs):
            y[:, :, phase // 2 :: 2, phase % 2 :: 2] = conv(x)
        return y


class Normalized(nn.Module):
    """A layer, then a call with a normalization between convolution and shuffle, which no kernel alone can cure."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.conv, self.norm = nn.ConvTranspose2d(3, 3, 4, 2, 1), nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12)
        nn.init.normal_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.norm(self.conv(self.up(x))), 2)


def hooked(normalize: Callable[[nn.Module], nn.Module]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        up, conv = normalize(nn.ConvTranspose2d(3, 5, 4, 2, 1)), normalize(nn.Conv2d(5, 12, 3, padding=1))
    module = nn.Sequential(up, nn.ReLU(), conv, nn.PixelShuffle(2))
    module(torch.rand(1, 3, 8, 8))
    return module


KINDS: dict[str, Callable[[], nn.Module]] = {
    "shuffle": Shuffled,
    "transposed": Transposed,
    "reshape": lambda: Reshaped("c i j"),
    "reshape, channels last": lambda: Reshaped("i j c"),
    "einsum": lambda: Reshaped("einsum"),
    "two steps": Steps,
    "layer and call": Mixed,
    "patches": Patches,
    "modulated": Modulated,
    "one axis": Line,
    "halves": Halves,
    "twice": Twice,
    "flipped": Flipped,
    "trimmed": Trimmed,
    "weight norm by hooks": lambda: hooked(nn.utils.weight_norm),
    "weight norm": lambda: hooked(nn.utils.parametrizations.weight_norm),
    "spectral norm by hooks": lambda: hooked(nn.utils.spectral_norm),
    "spectral norm": lambda: hooked(nn.utils.parametrizations.spectral_norm),
}
#: No kernel alone can cure these.
OTHERS: dict[str, Callable[[], nn.Module]] = {
    "fold": Folded,
    "normalized": Normalized,
    "stacked": Stacked,
    "unpooled": Unpooled,
    "assigned": Assigned,
}


def made(kind: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return (KINDS | OTHERS)[kind]().eval()


def example(kind: str) -> Tensor:
    sides = (32,) if kind in ("one axis", "trimmed") else (16, 16)
    return torch.rand(2, 3, *sides, generator=torch.Generator().manual_seed(2))


def outputs(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return module.eval()(x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", [True, False])
def test_equal_gain_reaches_the_kernel_of_every_call(kind: str, given: bool) -> None:
    module, x = made(kind), example(kind)
    before = outputs(module, x)
    assert not audit(module, x).clean
    cured = equal_gain.apply(module, example=x if given else None)
    assert audit(cured, x).clean
    assert torch.equal(outputs(module, x), before)
    assert set(cured.state_dict()) == set(module.state_dict())
    assert outputs(cured, x).shape == before.shape


@pytest.mark.parametrize("kind", KINDS)
def test_icnr_draws_every_kernel_or_refuses_the_kernel_size(kind: str) -> None:
    module, x = made(kind), example(kind)
    if kind == "modulated":  # 3 taps at stride 2
        with pytest.raises(ValueError, match=r"icnr: .* expected a multiple of the stride 2, got 3"):
            icnr.apply(module)
        return
    cured = icnr.apply(module)
    assert audit(cured, x).clean
    assert not torch.equal(outputs(cured, x), outputs(module, x))
    assert outputs(cured, x).abs().max() < 100  # a norm was estimated for the new kernel
    assert set(cured.state_dict()) == set(module.state_dict())


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
@pytest.mark.parametrize("name", ["hold", "smooth", "fir"])
def test_filters_follow_layers_and_calls(kind: str, name: str) -> None:
    module, x = made(kind), example(kind)
    if kind == "assigned":
        with pytest.raises(ValueError, match=rf"{name}: strided assignment .* got an assignment; use places=output"):
            catalog.load(PACKAGE, name).apply(module)
        return
    cured = catalog.load(PACKAGE, name).apply(module)
    assert outputs(cured, x).shape == outputs(module, x).shape
    assert audit(cured, x).clean


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_a_filter_at_the_output_cures_whatever_makes_the_grid(kind: str) -> None:
    module, x = made(kind), example(kind)
    report = audit(module, x)
    cured = hold.apply(module, places="output", period=report.period)
    assert audit(cured, x).clean
    assert outputs(cured, x).shape == outputs(module, x).shape


def test_a_filter_at_the_output_reaches_maps_in_whatever_is_returned() -> None:
    class Named(Shuffled):
        def forward(self, x: Tensor) -> Any:
            return {"map": super().forward(x), "pair": (super().forward(x), torch.arange(3))}

    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Named()
    x = torch.ones(1, 3, 16, 16)
    with torch.no_grad():
        found = hold.apply(module, places="output", period=2)(x)
    assert found["map"][..., 4:-4, 4:-4].std((2, 3)).max() < 1e-6
    assert torch.equal(found["pair"][0], found["map"])
    assert torch.equal(found["pair"][1], torch.arange(3))


@pytest.mark.parametrize("remedy", [equal_gain, icnr, self_distil])
@pytest.mark.parametrize("kind", OTHERS)
def test_half_a_cure_is_refused(remedy: Any, kind: str) -> None:
    with pytest.raises(
        ValueError, match=r"expected a parameter that is the kernel of every enlargement, got .* places=output"
    ):
        remedy.apply(made(kind))


def test_layers_are_not_exchanged_beside_calls() -> None:
    with pytest.raises(
        ValueError, match=r"resize_conv: expected layers to exchange, got .* by pixel_shuffle in forward"
    ):
        resize_conv.apply(made("layer and call"))


def test_a_call_that_makes_no_grid_is_no_obstacle() -> None:
    class Residual(Shuffled):
        def forward(self, x: Tensor) -> Tensor:
            repeated = F.pixel_shuffle(x.repeat_interleave(4, dim=1), 2)  # nearest
            return super().forward(x) + repeated

    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Residual()
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert not audit(module, x).clean
    assert audit(equal_gain.apply(module), x).clean


def test_a_kernel_that_is_scaled_per_phase_is_refused() -> None:
    class Scaled(Shuffled):
        def forward(self, x: Tensor) -> Tensor:
            scale = torch.linspace(0.5, 2, 12).view(12, 1, 1, 1)
            return F.pixel_shuffle(F.conv2d(x, self.conv.weight * scale, padding=1), 2)

    with pytest.raises(
        ValueError, match=r"equal_gain: .*expected a kernel that is used as it is, got phase gains that"
    ):
        equal_gain.apply(Scaled())


@pytest.mark.parametrize("kind", ["shuffle", "reshape, channels last", "patches", "weight norm by hooks"])
def test_equal_gains_are_kept_at_calls_through_training_and_fold(kind: str) -> None:
    cured, x = equal_gain.apply(made(kind), keep=True), example(kind)
    recipe = Recipe(5, 2, 1e-2)
    targets = torch.rand(outputs(cured, x).shape, generator=torch.Generator().manual_seed(3))
    assert loop.train(cured, x, recipe, seed=0, targets=targets).status == "done"
    assert audit(cured, x).clean
    folded = fold.apply(cured)
    assert not any("parametrizations" in key for key in folded.state_dict())
    torch.testing.assert_close(outputs(folded, x), outputs(cured, x), rtol=0, atol=1e-5)


def test_a_filter_behind_a_call_trains_with_the_rest() -> None:
    cured, x = hold.apply(made("shuffle")), example("shuffle")
    cured(x).square().mean().backward()
    assert all(p.grad is not None for p in cured.parameters() if p.requires_grad)


def test_self_distillation_fits_a_model_of_calls() -> None:
    module, x = made("shuffle"), example("shuffle")
    cured = self_distil.apply(module, inputs=x, steps=20)
    projected = equal_gain.apply(module)
    wanted = self_distil.without_grid(outputs(module, x), (2, 2))
    errors = [float((outputs(m, x) - wanted).square().mean()) for m in (projected, cured)]
    assert errors[1] < errors[0]
    assert audit(cured, x).clean


def test_a_copy_of_a_hooked_model_is_as_the_original() -> None:
    module, x = made("weight norm by hooks"), example("shuffle")
    outputs(module.train(), x)  # leaves a weight that was computed, which torch does not copy
    copy = parametrizations.copied(module, "test")
    assert torch.equal(outputs(copy, x), outputs(module, x))
    state = {key: value.clone() for key, value in module.state_dict().items()}
    cured = equal_gain.apply(module)
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    nn.utils.remove_weight_norm(cured[0])  # as vocoders do before inference
    assert audit(cured, x).clean


def test_several_inputs_need_an_example() -> None:
    class Two(Shuffled):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
            return super().forward(x) + y

    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Two()
    given = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 32, 32)
    with pytest.raises(ValueError, match=r"equal_gain: expected .* got Two; pass an example of its input"):
        equal_gain.apply(module)
    assert audit(equal_gain.apply(module, example=given), given).clean
    assert audit(equal_gain.apply(module, example={"x": given[0], "y": given[1]}), given).clean


def test_sites_come_in_the_order_of_the_calls() -> None:
    sites = _sites.find(made("layer and call"), example("layer and call"))
    assert [(site.path, site.kind) for site in sites] == [
        ("up", "transposed convolution"),
        ("conv", "sub-pixel shuffle"),
    ]


def test_a_module_that_cannot_be_copied_is_refused_in_one_line() -> None:
    module = made("shuffle")
    module.lock = threading.Lock()
    with pytest.raises(ValueError, match=r"equal_gain: expected a module that can be copied, got cannot pickle"):
        equal_gain.apply(module)


def test_an_exported_model_is_cured_as_its_source() -> None:
    x = example("shuffle")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.export.export(made("shuffle"), (x,)).module()
        cured = [remedy.apply(module, example=x) for remedy in (equal_gain, hold)]
        assert not audit(module, x).clean
        assert all(audit(one, x).clean for one in cured)


def test_a_scripted_model_is_cured_at_its_output_alone() -> None:
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        module = torch.jit.script(nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2)))
    for remedy in (equal_gain, icnr, self_distil, resize_conv, hold):
        with pytest.raises(ValueError, match=r"expected a module in Python, got a scripted one; use hold with places"):
            remedy.apply(module)
    assert audit(hold.apply(module, places="output", period=2), example("shuffle")).clean
