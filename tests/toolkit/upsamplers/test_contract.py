"""What every file in toolkit/upsamplers owes, read from its own flags: a new file is tested with no edit here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from math import prod

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from checkerscope.toolkit import catalog, response
from checkerscope.toolkit.contracts.upsampler import LAYOUTS, Context, Upsampler
from tests.builders import UPSAMPLERS, build, context_for, context_of, enlarged_noise, noise

COMPONENTS = {c.name: c for c in catalog.describe(UPSAMPLERS)}
NAMES = list(COMPONENTS)


def flag(name: str, key: str, default: object) -> object:
    return COMPONENTS[name].flags.get(key, default)


LINEAR = [name for name in NAMES if flag(name, "linear", True)]
CONVEX = [name for name in NAMES if flag(name, "convex", False)]
CONTEXT = [name for name in NAMES if flag(name, "needs_context", "")]


def scales_of(name: str) -> tuple[int, ...]:
    supported = flag(name, "scales", None)
    return tuple(s for s in (1, 2, 3, 4) if supported is None or s in supported)


def dims_of(name: str) -> tuple[int, ...]:
    return tuple(flag(name, "dims", (1, 2, 3)))


def cheapest(name: str) -> dict[str, int]:
    """Return the smallest dimension and the scale 2, or the nearest that is supported."""
    return {"scale": min(scales_of(name), key=lambda s: abs(s - 2)), "spatial_dims": min(dims_of(name))}


def sides(d: int) -> tuple[int, ...]:
    return (7, 4, 5)[:d]


def interior(y: Tensor, margin: int) -> Tensor:
    for axis in range(2, y.dim()):
        y = y.narrow(axis, margin, y.shape[axis] - 2 * margin)
    return y


def combinations(name: str) -> Iterator[tuple[int, int]]:
    return itertools.product(scales_of(name), dims_of(name))


def test_there_are_at_least_thirty() -> None:
    assert len(NAMES) >= 30


def test_labels_are_unique_and_every_source_is_given() -> None:
    labels = [component.label for component in COMPONENTS.values()]
    assert len(set(labels)) == len(labels)
    for component in COMPONENTS.values():
        assert not component.broken, component.broken
        assert component.source
        assert component.label != component.name


@pytest.mark.parametrize("name", NAMES)
def test_flags_are_literals_in_the_file(name: str) -> None:
    cls = catalog.load(UPSAMPLERS, name)
    assert issubclass(cls, Upsampler)
    assert {"linear", "convex", "layouts"} <= COMPONENTS[name].flags.keys()
    for key in ("linear", "convex", "layouts", "scales", "dims", "needs_context"):
        assert getattr(cls, key) == COMPONENTS[name].flags.get(key, getattr(Upsampler, key))
    assert flag(name, "needs_context", "") in ("", "indices", "features")
    assert set(flag(name, "layouts", ())) <= set(LAYOUTS)
    assert set(dims_of(name)) <= {1, 2, 3}


@pytest.mark.parametrize("name", NAMES)
def test_shape_at_every_scale_and_dimension(name: str) -> None:
    for (s, d), (c_in, c_out) in itertools.product(combinations(name), ((2, 2), (3, 2), (2, 5))):
        layer = build(name, c_in, c_out, scale=s, spatial_dims=d)
        x = noise(2, c_in, *sides(d))
        with torch.no_grad():
            y = layer(x, context_for(layer, x))
        assert y.shape == (2, c_out, *(s * side for side in sides(d))), (s, d, c_in, c_out)
        assert torch.isfinite(y).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradient_reaches_the_input_and_every_parameter(name: str) -> None:
    layer = build(name, 3, 2, **cheapest(name))
    x = noise(2, 3, *sides(layer.spatial_dims)).requires_grad_()
    y = layer(x, context_for(layer, x))
    (y * noise(*y.shape, seed=3)).sum().backward()
    assert x.grad is not None
    assert bool((x.grad != 0).any())
    for key, p in layer.named_parameters():
        assert p.grad is not None, key
        assert torch.isfinite(p.grad).all(), key
        assert bool((p.grad != 0).any()), key


def global_state() -> tuple[object, ...]:
    return (
        torch.get_rng_state().sum().item(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_grad_enabled(),
    )


@pytest.mark.parametrize("name", NAMES)
def test_two_calls_agree_and_leave_input_and_state_alone(name: str) -> None:
    layer = build(name, 3, 2, **cheapest(name)).eval()
    x = noise(2, 3, *sides(layer.spatial_dims))
    context = context_for(layer, x)
    kept, features = x.clone(), None if context is None else context.features.clone()
    weights = {key: value.clone() for key, value in layer.state_dict().items()}
    before = global_state()
    first, second = layer(x, context), layer(x, context)
    assert torch.equal(first, second)
    assert global_state() == before
    assert torch.equal(x, kept)
    assert context is None or torch.equal(context.features, features)
    assert all(torch.equal(value, weights[key]) for key, value in layer.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_runs_in_deterministic_mode(name: str) -> None:
    layer = build(name, 3, 2, **cheapest(name))
    x = noise(1, 3, *sides(layer.spatial_dims)).requires_grad_()
    torch.use_deterministic_algorithms(True)
    try:
        layer(x, context_for(layer, x)).sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert x.grad is not None


@pytest.mark.parametrize("name", NAMES)
def test_images_of_a_batch_do_not_mix(name: str) -> None:
    layer = build(name, 3, 2, **cheapest(name))
    x = noise(3, 3, *sides(layer.spatial_dims))
    features = enlarged_noise(layer, x)
    together = layer(x, context_of(layer, features))
    for i in range(3):
        alone = layer(x[i : i + 1], context_of(layer, features[i : i + 1]))
        torch.testing.assert_close(alone, together[i : i + 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_precision_follows_the_layer(name: str) -> None:
    layer = build(name, 3, 2, **cheapest(name))
    x = noise(1, 3, *sides(layer.spatial_dims))
    double = layer(x, context_for(layer, x))
    assert double.dtype == torch.float64
    single = layer.float()(x.float(), context_for(layer, x.float()))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=0, atol=2e-4 * float(double.detach().abs().max()))
    torch.testing.assert_close(layer.double()(x, context_for(layer, x)), double, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if 2 in dims_of(name)])
def test_memory_format_does_not_change_the_result(name: str) -> None:
    layer = build(name, 3, 4, scale=cheapest(name)["scale"])
    x = noise(2, 3, 6, 5)
    context = context_for(layer, x)
    expected = layer(x, context)
    moved = layer.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last), context)
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_state_survives_a_file_format_without_classes(name: str) -> None:
    layer, other = (build(name, 3, 2, seed=seed, **cheapest(name)) for seed in (0, 1))
    x = noise(1, 3, *sides(layer.spatial_dims))
    other.load_state_dict(load(save(layer.state_dict())))
    assert torch.equal(other(x, context_for(other, x)), layer(x, context_for(layer, x)))


@pytest.mark.parametrize("name", NAMES)
def test_linear_is_told_truly(name: str) -> None:
    layer = build(name, 3, 2, **cheapest(name))
    x, y = noise(1, 3, *sides(layer.spatial_dims)), noise(1, 3, *sides(layer.spatial_dims), seed=2)
    context = context_for(layer, x)
    zero = layer(torch.zeros_like(x), context)
    both = layer(2 * x - 3 * y, context) - zero
    apart = 2 * (layer(x, context) - zero) - 3 * (layer(y, context) - zero)
    error = float((both - apart).detach().abs().max() / apart.detach().abs().max())
    assert (error < 1e-12) == (name in LINEAR)


def unsettled(layer: Upsampler) -> Upsampler:
    """Move every parameter away from its start: what is promised holds at all times."""
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(torch.randn(p.shape, generator=generator, dtype=p.dtype) * 0.2)
    return layer


@pytest.mark.parametrize("name", CONVEX)
def test_convex_keeps_constants_and_the_range(name: str) -> None:
    for s in scales_of(name):
        layer = unsettled(build(name, 2, 2, scale=s, spatial_dims=min(dims_of(name))))
        shape = (1, 2, *(11,) * layer.spatial_dims)
        levels = torch.tensor([0.7, -2.0], dtype=torch.float64).reshape(1, 2, *(1,) * layer.spatial_dims)
        flat = levels.expand(shape)
        y = interior(layer(flat, context_for(layer, flat)), 4 * s)
        torch.testing.assert_close(y, levels.expand_as(y), rtol=0, atol=1e-12)
        x = noise(*shape)
        y = interior(layer(x, context_for(layer, x)), 4 * s).detach()
        assert bool((y.amax(tuple(range(2, y.dim()))) <= x.amax(tuple(range(2, x.dim()))) + 1e-12).all())
        assert bool((y.amin(tuple(range(2, y.dim()))) >= x.amin(tuple(range(2, x.dim()))) - 1e-12).all())


@pytest.mark.parametrize("name", [name for name in LINEAR if name not in CONTEXT])
def test_convex_is_told_truly_of_linear_upsamplers(name: str) -> None:
    layer = build(name, 1, 1, **cheapest(name))
    kernels = response.phase_kernels(layer)[0, 0]
    sums = response.phase_gains(layer)
    convex = bool((kernels > -1e-12).all()) and bool((sums - 1).abs().max() < 1e-10)
    if list(layer.parameters()):
        convex = False  # convex at the start is not convex for good
    assert convex == (name in CONVEX)


@pytest.mark.parametrize("name", NAMES)
def test_layouts_are_those_of_the_kernels(name: str) -> None:
    layer = build(name, 3, 2, **cheapest(name))
    kernels = list(layer.kernels())
    assert {kernel.layout.kind for kernel in kernels} == set(flag(name, "layouts", ()))
    own = {id(p) for p in layer.parameters()}
    reached = set()
    for kernel in kernels:
        layout, weight = kernel.layout, kernel.weight
        tensors = [weight] if kernel.bias is None else [weight, kernel.bias]
        reached |= {id(tensor) for tensor in tensors}
        assert len(layout.strides) == layer.spatial_dims == weight.dim() - 2
        assert all(layer.scale % stride == 0 for stride in layout.strides)
        assert layout.fan_in(weight) > 0
        outputs = weight.shape[1] * layout.groups if layout.kind == "transposed" else weight.shape[0]
        phases = prod(layout.strides) if layout.kind == "sub_pixel" else 1
        assert outputs % phases == 0
        if kernel.bias is not None:  # one per row of the kernel, or shared by several
            assert outputs % kernel.bias.shape[0] == 0
    assert reached <= own  # else an initialization would fill a copy
    if name in LINEAR:
        assert reached == own  # the parameters of content-dependent ones keep their paper's initialization


@pytest.mark.parametrize("name", LINEAR)
def test_a_shift_by_one_pixel_is_a_shift_by_the_scale(name: str) -> None:
    layer = build(name, 2, 2, **cheapest(name))
    s, axes = layer.scale, tuple(range(2, 2 + layer.spatial_dims))
    side = {1: 31, 2: 21}.get(layer.spatial_dims, 13)
    x = noise(1, 2, *(side,) * layer.spatial_dims)
    features = enlarged_noise(layer, x)
    y = layer(x, context_of(layer, features))
    # rolled, so that it also holds for upsamplers that see the map as periodic; the interior for all others
    moved_features = features.roll((s,) * len(axes), axes)
    moved = layer(x.roll((1,) * len(axes), axes), context_of(layer, moved_features))
    margin = s * (side // 2 - 1)
    torch.testing.assert_close(
        interior(moved, margin), interior(y.roll((s,) * len(axes), axes), margin), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("name", NAMES)
def test_wrong_input_is_refused_by_name(name: str) -> None:
    layer = build(name, 3, 2, **cheapest(name))
    d = layer.spatial_dims
    with pytest.raises(ValueError, match=rf"{name}: input: expected shape \(n, 3, .*\), got \(1, 4, .*\)"):
        layer(noise(1, 4, *sides(d)), None)
    with pytest.raises(ValueError, match=rf"{name}: input: expected shape"):
        layer(noise(3, *sides(d)), None)
    if name in CONTEXT:
        field = flag(name, "needs_context", "")
        for context in (None, Context()):
            with pytest.raises(ValueError, match=rf"{name}: context: expected the encoder's {field}, got none"):
                layer(noise(1, 3, *sides(d)), context)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_constructions_are_refused_by_name(name: str) -> None:
    cls = catalog.load(UPSAMPLERS, name)
    with pytest.raises(ValueError, match=rf"{name}: in_channels: expected an integer from 1, got 0"):
        cls(0, 2, **cheapest(name))
    with pytest.raises(ValueError, match=rf"{name}: out_channels: expected an integer from 1, got True"):
        cls(2, True, **cheapest(name))
    with pytest.raises(ValueError, match=rf"{name}: scale: expected an integer from 1, got 0"):
        cls(2, 2, scale=0, spatial_dims=min(dims_of(name)))
    with pytest.raises(ValueError, match=rf"{name}: scale: expected an integer from 1, got 1.5"):
        cls(2, 2, scale=1.5, spatial_dims=min(dims_of(name)))
    with pytest.raises(ValueError, match=rf"{name}: spatial_dims: expected one of .*, got 4"):
        cls(2, 2, spatial_dims=4)
    for d in {1, 2, 3} - set(dims_of(name)):
        with pytest.raises(ValueError, match=rf"{name}: spatial_dims: expected one of .*, got {d}"):
            cls(2, 2, spatial_dims=d)


@pytest.mark.parametrize("name", [name for name in NAMES if flag(name, "scales", None)])
def test_unsupported_scales_name_the_nearest(name: str) -> None:
    supported = flag(name, "scales", None)
    wrong = max(supported) + 5
    match = rf"{name}: scale: expected one of .*, got {wrong}; the nearest scale that works is {max(supported)}"
    with pytest.raises(ValueError, match=match):
        catalog.load(UPSAMPLERS, name)(2, 2, scale=wrong, spatial_dims=min(dims_of(name)))
