"""Remedies: the contract, over the catalogue, and what each promises, on small modules of one to three axes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from checkerscope.analysis.audit.procedure import audit
from checkerscope.toolkit import catalog, response
from checkerscope.toolkit.contracts.remedy import PACKAGE, PROMISES
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.remedies import _kernels, _sites, fold, phase_affine, self_distil

CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
#: Words of a remedy's APPLIES_TO, and a module of two such layers.
KINDS = ("transposed convolution", "sub-pixel shuffle", "nearest resize and convolution")
EXACT = [name for name in catalog.names(PACKAGE) if catalog.describe_one(PACKAGE, name).flags.get("promise") == "exact"]
CURES = [name for name in catalog.names(PACKAGE) if catalog.describe_one(PACKAGE, name).flags.get("cures", True)]


def layers(kind: str, dims: int) -> list[nn.Module]:
    """Two stages of scale 2 from 3 channels to 3."""
    if kind == KINDS[0]:
        return [TRANSPOSED[dims](3, 8, 4, 2, 1), nn.ReLU(), TRANSPOSED[dims](8, 3, 4, 2, 1)]
    if kind == KINDS[1]:
        return [
            nn.Conv2d(3, 32, 3, padding=1),
            nn.PixelShuffle(2),
            nn.ReLU(),
            nn.Conv2d(8, 12, 3, padding=1),
            nn.PixelShuffle(2),
        ]
    stage = [nn.Upsample(scale_factor=2), CONVS[dims](3, 3, 3, padding=1)]
    return [*stage, nn.ReLU(), nn.Upsample(scale_factor=2), CONVS[dims](3, 3, 3, padding=1)]


def decoder(kind: str = KINDS[0], dims: int = 2) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(*layers(kind, dims)).eval()


def ours(name: str, dims: int = 2, **options: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return catalog.load("checkerscope.toolkit.upsamplers", name)(3, 3, spatial_dims=dims, **options)


def shown(dims: int = 2, side: int = 16) -> torch.Tensor:
    return torch.rand(2, 3, *(side,) * dims, generator=torch.Generator().manual_seed(1))


def outputs(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return module.eval()(x)


def remedy(name: str) -> Any:
    return catalog.load(PACKAGE, name)


def applied(name: str, module: nn.Module, x: torch.Tensor) -> nn.Module:
    """Apply a remedy with what its own literals say that it needs, and nothing else known of it."""
    component = catalog.describe_one(PACKAGE, name)
    options: dict[str, Any] = {}
    if "inputs" in component.options and component.flags["promise"] in ("needs data", "approximate"):
        options["inputs"] = x
    if "targets" in component.options:
        options["targets"] = outputs(module, x) * 0.5
    if "steps" in component.options:
        options["steps"] = 2
    return remedy(name).apply(module, **options)


def fitting(name: str) -> list[str]:
    return [kind for kind in KINDS if kind in catalog.describe_one(PACKAGE, name).flags["applies_to"]]


# the contract


@pytest.mark.parametrize("name", catalog.names(PACKAGE))
def test_every_remedy_says_what_it_promises(name: str) -> None:
    component = catalog.describe_one(PACKAGE, name)
    assert component.flags["promise"] in PROMISES
    assert component.flags["applies_to"]
    assert component.flags["cost"]
    assert component.source
    assert component.label != name


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in catalog.names(PACKAGE) for kind in fitting(name)])
def test_a_remedy_leaves_the_original_and_keeps_size_mode_and_dtype(name: str, kind: str) -> None:
    module, x = decoder(kind).double(), shown().double()
    if name in EXACT and kind == KINDS[0]:  # one of them takes apart what another has merged
        module = remedy("nearest_to_transposed").apply(decoder(KINDS[2]).double())
    state = {key: value.clone() for key, value in module.state_dict().items()}
    random = torch.get_rng_state()
    before = outputs(module, x)
    cured = applied(name, module, x)
    assert cured is not module
    assert not cured.training
    after = outputs(cured, x)
    assert after.shape == before.shape
    assert torch.isfinite(after).all()
    assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())
    assert torch.equal(outputs(module, x), before)
    assert torch.equal(torch.get_rng_state(), random)
    if name in EXACT:
        torch.testing.assert_close(after, before, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", catalog.names(PACKAGE))
def test_a_remedy_refuses_by_name_what_it_does_not_fit(name: str) -> None:
    if name == "fold":  # what has nothing to fold is folded
        assert outputs(fold.apply(nn.Conv2d(3, 3, 3)), shown()).shape == (2, 3, 14, 14)
        return
    with pytest.raises(ValueError, match=f"^{name}"):
        applied(name, nn.Conv2d(3, 3, 3), shown())


@pytest.mark.parametrize("name", [name for name in CURES if name != "phase_affine"])
@pytest.mark.parametrize("kind", KINDS[:2])
def test_a_cure_makes_a_dirty_decoder_clean(name: str, kind: str) -> None:
    dirty, x = decoder(kind), shown()
    if kind not in fitting(name):
        pytest.skip("another kind of layer")
    assert not audit(dirty, x).clean
    assert audit(applied(name, dirty, x), x).clean


@pytest.mark.parametrize("name", ["equal_gain", "hold", "resize_conv", "icnr"])
@pytest.mark.parametrize("dims", [1, 3])
@pytest.mark.parametrize("upsampler", ["transposed_conv", "pixel_shuffle"])
def test_cures_work_on_the_catalogue_in_one_and_three_axes(name: str, dims: int, upsampler: str) -> None:
    module = ours(upsampler, dims)
    cured = remedy(name).apply(module)
    assert isinstance(cured, Upsampler)
    gains = response.phase_gains(cured)
    assert response.tone_fraction(response.phase_gains(module)) > 0.01
    assert response.tone_fraction(gains) < 1e-10


@pytest.mark.parametrize(
    "upsampler", ["separable_transposed_conv", "large_kernel_transposed_conv", "depthwise_transposed_conv"]
)
def test_equal_gain_reaches_every_kernel_of_an_upsampler(upsampler: str) -> None:
    module = ours(upsampler)
    with torch.no_grad():
        for kernel in module.kernels():
            kernel.weight.normal_(generator=torch.Generator().manual_seed(3))
    assert response.tone_fraction(response.phase_gains(remedy("equal_gain").apply(module))) < 1e-10


# exact rewrites


@pytest.mark.parametrize(
    ("k", "s", "padding", "extra", "dilation", "groups"),
    [
        (4, 2, 1, 0, 1, 1),
        (3, 2, 1, 1, 1, 3),
        (5, 3, 1, 0, 1, 1),
        (2, 2, 0, 0, 1, 1),
        (3, 2, 2, 1, 2, 1),
        (6, 2, 2, 0, 1, 3),
    ],
)
def test_a_transposed_convolution_is_a_sub_pixel_one(
    k: int, s: int, padding: int, extra: int, dilation: int, groups: int
) -> None:
    layer = nn.ConvTranspose2d(3, 6, k, s, padding, extra, groups, dilation=dilation).double()
    x = shown(2, 7).double()
    rewritten = remedy("transposed_to_subpixel").apply(layer)
    torch.testing.assert_close(outputs(rewritten, x), outputs(layer, x), rtol=0, atol=1e-12)
    back = remedy("subpixel_to_transposed").apply(rewritten)
    torch.testing.assert_close(outputs(back, x), outputs(layer, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("k", "s", "padding", "dilation", "groups"), [(3, 2, 1, 1, 1), (1, 3, 0, 1, 1), (5, 2, 1, 1, 3), (3, 2, 2, 2, 1)]
)
@pytest.mark.parametrize("name", ["subpixel_to_transposed", "nearest_to_transposed"])
def test_both_layers_are_transposed_convolutions(
    name: str, k: int, s: int, padding: int, dilation: int, groups: int
) -> None:
    conv = nn.Conv2d(3, 3 * s * s, k, padding=padding, dilation=dilation, groups=groups)
    pair = (
        [conv, nn.ReLU(), nn.PixelShuffle(s)]
        if name.startswith("sub")
        else [nn.Upsample(scale_factor=s), nn.ReLU(), conv]
    )
    module, x = nn.Sequential(*pair).double(), shown(2, 9).double()
    torch.testing.assert_close(outputs(remedy(name).apply(module), x), outputs(module, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", [1, 3])
def test_rewrites_work_on_one_and_three_axes(dims: int) -> None:
    x = shown(dims, 5)
    for name, upsampler in (
        ("transposed_to_subpixel", "transposed_conv"),
        ("subpixel_to_transposed", "pixel_shuffle"),
        ("nearest_to_transposed", "nearest_conv"),
    ):
        module = ours(upsampler, dims)
        torch.testing.assert_close(outputs(remedy(name).apply(module), x), outputs(module, x), rtol=0, atol=1e-6)


def test_a_merged_resize_convolution_comes_apart_and_nothing_else_does() -> None:
    module, x = decoder(KINDS[2]), shown()
    merged = remedy("nearest_to_transposed").apply(module)
    assert sum(isinstance(part, nn.ConvTranspose2d) for part in merged.modules()) == 2
    apart = remedy("transposed_to_nearest").apply(merged)
    torch.testing.assert_close(outputs(apart, x), outputs(module, x), rtol=0, atol=1e-6)
    with pytest.raises(
        ValueError, match=r"transposed_to_nearest: 0: expected a convolution of s ones .* use resize_conv"
    ):
        remedy("transposed_to_nearest").apply(decoder())


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.ConvTranspose2d(3, 3, 3, 2), "an output of exactly stride times the input"),
        (nn.ConvTranspose2d(3, 3, (4, 3), (2, 1), 1), "equal strides on all axes"),
    ],
)
def test_a_rewrite_names_what_it_cannot_do(layer: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        remedy("transposed_to_subpixel").apply(layer)


def test_least_squares_transfer_is_the_nearest_there_is() -> None:
    layer = nn.ConvTranspose2d(2, 3, 4, 2, 1, bias=False).double()
    (site,) = _sites.find(layer)
    module, error = _kernels.to_resize(_kernels.read(site, "test"))
    kernel = module[1].weight.detach()

    def distance(weight: torch.Tensor) -> float:
        with torch.no_grad():
            module[1].weight.copy_(weight)
        taps = _kernels.read(_sites.find(module)[0], "test")
        return float((taps.weight - layer.weight.detach()).norm() / layer.weight.detach().norm())

    assert distance(kernel) == pytest.approx(error, abs=1e-12)
    generator = torch.Generator().manual_seed(5)
    nudged = [kernel + 1e-3 * torch.randn(kernel.shape, generator=generator, dtype=torch.float64) for _ in range(5)]
    assert min(map(distance, nudged)) > error


# equal gains


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("kind", KINDS[:2])
def test_equal_gain_cleans_at_every_order(kind: str, order: int, keep: bool) -> None:
    dirty, x = decoder(kind), shown()
    cured = remedy("equal_gain").apply(dirty, order=order, keep=keep)
    assert audit(cured, x).clean
    assert any(parametrize.is_parametrized(part) for part in cured.modules()) is keep


@pytest.mark.parametrize("kind", KINDS[:2])
def test_equal_gain_is_kept_through_training(kind: str) -> None:
    cured = remedy("equal_gain").apply(decoder(kind), keep=True)
    generator = torch.Generator().manual_seed(2)
    optimizer = torch.optim.Adam(cured.parameters(), lr=1e-2)
    for _ in range(10):
        cured(torch.rand(2, 3, 8, 8, generator=generator)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert audit(cured, shown()).clean


def test_scope_flat_spares_what_flat_images_do_not_excite() -> None:
    """A shuffle undoes an unshuffle: no grid on flat images, and nothing for the scope `flat` to change."""
    conv = nn.Conv2d(4, 4, 1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.eye(4)[..., None, None])
    lossless = nn.Sequential(nn.PixelUnshuffle(2), conv, nn.PixelShuffle(2))
    x = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    flat = torch.rand(5, 1, 1, 1, generator=torch.Generator().manual_seed(1)).expand(5, 1, 16, 16).contiguous()
    spared = remedy("equal_gain").apply(lossless, scope="flat", inputs=flat)
    torch.testing.assert_close(outputs(spared, x), x, rtol=0, atol=1e-6)
    blurred = outputs(remedy("equal_gain").apply(lossless), x)
    torch.testing.assert_close(blurred, nn.functional.interpolate(nn.functional.avg_pool2d(x, 2), scale_factor=2))


def test_scope_flat_makes_flat_images_flat() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        front = [nn.Conv2d(3, 24, 3, padding=1), nn.Tanh(), nn.ConvTranspose2d(24, 24, 4, 2, 1), nn.ReLU()]
        module = nn.Sequential(*front, nn.ConvTranspose2d(24, 3, 4, 2, 1)).eval()
    cured = remedy("equal_gain").apply(module, scope="flat")
    grey = torch.full((1, 3, 32, 32), 0.5)

    def grid(m: nn.Module) -> float:
        return float(outputs(m, grey)[..., 48:80, 48:80].std((-1, -2)).max())

    assert grid(module) > 1e-3
    assert grid(cured) < 1e-2 * grid(module)
    weights = [m.weight for m in (module[2], cured[2], remedy("equal_gain").apply(module)[2])]
    assert (weights[1] - weights[0]).norm() < (weights[2] - weights[0]).norm()


@pytest.mark.parametrize("kind", KINDS[:2])
def test_replicate_border_leaves_no_grid_in_the_border_rows(kind: str) -> None:
    x = torch.ones(1, 3, 8, 8)
    border = {
        name: outputs(remedy("equal_gain").apply(decoder(kind), border=name), x) for name in ("zeros", "replicate")
    }
    assert border["zeros"].std((-1, -2)).max() > 1e-3
    assert border["replicate"].shape == (1, 3, 32, 32)
    assert border["replicate"].std((-1, -2)).max() < 1e-6


@pytest.mark.parametrize(
    ("layer", "options", "message"),
    [
        (nn.ConvTranspose2d(1, 1, 2, stride=3), {}, "at least 3 taps at stride 3"),
        (nn.ConvTranspose2d(1, 1, 2, stride=2), {"order": 1}, "at least 3 taps at stride 2 and order 1"),
        (nn.ConvTranspose2d(1, 1, 2, stride=2), {"scope": "all"}, "scope: expected one of 'pair', 'flat'"),
        (nn.ConvTranspose2d(1, 1, 2, stride=2), {"border": "wrap"}, "border: expected one of 'zeros', 'replicate'"),
    ],
)
def test_equal_gain_refuses_by_name(layer: nn.Module, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        remedy("equal_gain").apply(layer, **options)


@pytest.mark.parametrize("kind", KINDS[:2])
def test_a_parametrized_original_still_works_after_its_copy_was_cured(kind: str) -> None:
    module, x = decoder(kind), shown()
    nn.utils.parametrizations.weight_norm(module[0])
    before = outputs(module, x)
    for cured in (remedy("equal_gain").apply(module), fold.apply(remedy("equal_gain").apply(module, keep=True))):
        assert audit(cured, x).clean
        assert torch.equal(outputs(module, x), before)


def test_equal_gain_refuses_what_is_equal_by_construction() -> None:
    with pytest.raises(ValueError, match=r"equal gains by construction|expected a transposed convolution"):
        remedy("equal_gain").apply(ours("equal_gain_transposed_conv"))


# sites


class Shared(nn.Module):
    """One shuffle behind two convolutions, registered in another order than they run."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(3, 3, 3, padding=1)
        self.up1, self.up2 = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(3, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.shuffle(self.up2(self.shuffle(self.up1(x)))))


def test_an_example_finds_every_convolution_of_a_shared_shuffle() -> None:
    assert [site.path for site in _sites.find(Shared())] == ["up2"]
    assert [site.path for site in _sites.find(Shared(), shown())] == ["up1", "up2"]


# phase affine, self-distillation, fold


def test_phase_affine_undoes_a_phase_gain_and_offset() -> None:
    y = torch.rand(4, 2, 24, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gain, offset = torch.tensor([[1.0, 2.0], [0.5, 1.5]]).double(), torch.tensor([[0.0, 0.1], [-0.1, 0.2]]).double()
    spoiled = (y - offset.repeat(12, 12)) / gain.repeat(12, 12)
    found_gain, found_offset = phase_affine.fit(spoiled, y, [2, 2])
    torch.testing.assert_close(found_gain, gain.expand(2, 2, 2), rtol=0, atol=1e-9)
    torch.testing.assert_close(found_offset, offset.expand(2, 2, 2), rtol=0, atol=1e-9)


def test_phase_affine_never_raises_the_error_on_what_it_was_fitted_to() -> None:
    module, x = decoder(), shown(2, 16)
    target = nn.functional.interpolate(x, scale_factor=4)
    cured = phase_affine.apply(module, inputs=x, targets=target)
    assert (outputs(cured, x) - target).square().mean() < 0.9 * (outputs(module, x) - target).square().mean()
    with pytest.raises(ValueError, match=r"phase_affine: inputs: expected images .* got none; pass inputs"):
        phase_affine.apply(module)


def test_self_distillation_comes_nearer_to_the_original_without_its_grid_and_leaves_the_encoder() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        module = nn.Sequential(
            encoder, nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1)
        ).eval()
    x = shown(2, 16)
    wanted = self_distil.without_grid(outputs(module, x), (2, 2))
    errors = [
        float((outputs(self_distil.apply(module, inputs=x, steps=steps), x) - wanted).square().mean())
        for steps in (0, 60)
    ]
    assert errors[1] < 0.7 * errors[0]
    cured = self_distil.apply(module, inputs=x, steps=3)
    assert all(
        torch.equal(a, b) for a, b in zip(encoder.state_dict().values(), cured[0].state_dict().values(), strict=True)
    )
    assert all(parameter.requires_grad for parameter in cured.parameters())
    assert audit(cured, x).clean


def test_self_distillation_draws_its_own_images_or_says_that_it_needs_some() -> None:
    assert audit(self_distil.apply(decoder(), steps=1, images=2, size=16), shown()).clean
    with pytest.raises(
        ValueError, match=r"self_distil: inputs: expected a module of images .* got 8 channels on 2 axes"
    ):
        self_distil.apply(nn.ConvTranspose2d(8, 3, 4, 2, 1))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("transposed_conv", {}),
        ("pixel_shuffle", {}),
        ("nearest_conv", {}),
        ("bilinear_conv", {}),
        ("equal_gain_transposed_conv", {"order": 1, "border": "replicate"}),
        ("equal_gain_pixel_shuffle", {"border": "replicate"}),
    ],
)
def test_fold_leaves_plain_torch_layers_that_export(name: str, options: dict[str, Any]) -> None:
    module, x = nn.Sequential(ours(name, **options), nn.Conv2d(3, 3, 1)).eval(), shown()
    folded = fold.apply(module)
    assert all(type(part).__module__.startswith("torch.nn.modules") for part in folded.modules())
    torch.testing.assert_close(outputs(folded, x), outputs(module, x), rtol=0, atol=1e-6)


def test_a_cured_model_of_somebody_else_folds_into_its_own_state_dict() -> None:
    module = decoder(KINDS[1])
    folded = fold.apply(remedy("equal_gain").apply(module, keep=True))
    module.load_state_dict(folded.state_dict())
    assert audit(module, shown()).clean


def test_fold_writes_phase_offsets_as_a_shuffle_and_refuses_what_has_no_plain_form() -> None:
    module, x = decoder(KINDS[1]), shown()
    folded = fold.apply(remedy("subpixel_to_transposed").apply(module))
    assert all(type(part).__module__.startswith("torch.nn.modules") for part in folded.modules())
    torch.testing.assert_close(outputs(folded, x), outputs(module, x), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"fold: expected upsamplers with a form in plain torch layers.* got carafe"):
        fold.apply(nn.Sequential(ours("carafe")))
