"""What every measure of the catalogue promises, whatever it measures: a new file is tested here without an edit."""

import copy
import dataclasses
import functools
import inspect
import math

import numpy as np
import pytest
import torch

from checkerscope.analysis import spectra
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit import catalog
from checkerscope.toolkit.networks.autoencoder import Autoencoder

PACKAGE = "checkerscope.analysis.measures"
NAMES = catalog.names(PACKAGE)


def trial(upsampler="transposed_conv", *, images=4, size=48, last=None, channels=3, dims=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(images, channels, *(size,) * (dims - 1), last or size, generator=generator)
    torch.manual_seed(seed)
    component = catalog.load("checkerscope.toolkit.upsamplers", upsampler)
    factory = functools.partial(component, scale=2, spatial_dims=dims)
    model = Autoencoder(factory, image_channels=channels, width=4, latent_channels=4, spatial_dims=dims).eval()
    with torch.no_grad():
        reconstruction = model(target)
    return Trial(model, target, reconstruction, 2, 4, 8, needs_context=bool(component.needs_context))


@pytest.fixture(scope="module")
def usual():
    return trial()


@pytest.mark.parametrize("name", NAMES)
def test_it_declares_what_it_returns(name, usual):
    module = catalog.load(PACKAGE, name)
    found = module.measure(usual)
    assert callable(getattr(module, name))
    assert module.LABEL
    assert module.SOURCE
    assert set(found) <= set(module.UNITS)
    for key, value in found.items():
        assert key.startswith(f"{name}.")
        assert isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind in "fu")
    described = catalog.describe_one(PACKAGE, name)
    assert described.flags["units"] == module.UNITS


@pytest.mark.parametrize("name", NAMES)
def test_it_documents_what_it_responds_to(name):
    text = catalog.load(PACKAGE, name).__doc__
    for word in ("Responds to:", "Noise floor:", "Ground truth:"):
        assert word in text


@pytest.mark.parametrize("name", NAMES)
def test_same_trial_same_numbers(name, usual):
    measure = catalog.load(PACKAGE, name).measure
    first, second = measure(usual), measure(usual)
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "case",
    [
        {"upsampler": "max_unpool"},
        {"upsampler": "nearest_conv", "images": 1},
        {"channels": 1, "images": 2},
        {"size": 40, "last": 60},
    ],
    ids=str,
)
def test_it_is_defined_or_nan_for_unusual_trials(name, case):
    for value in catalog.load(PACKAGE, name).measure(trial(**case)).values():
        assert not np.isinf(value).any()


@pytest.mark.parametrize("name", NAMES)
def test_one_spatial_axis_is_enough(name):
    found = catalog.load(PACKAGE, name).measure(trial(dims=1, channels=1, size=64))
    assert found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("constant", [0.0, 0.3])
def test_a_perfect_reconstruction_of_constant_images_warns_of_nothing(name, constant, usual):
    flat = torch.full_like(usual.target, constant)
    found = catalog.load(PACKAGE, name).measure(Trial(usual.model, flat, flat, 2, 4, 8))
    for key, value in found.items():
        if key not in ("reconstruction.psnr", "shift_equivariance.integer", "shift_equivariance.fractional"):
            assert not np.isinf(value).any()


#: Read from the weights, or from the model's answer to other images: the reconstruction is not looked at.
BLIND = {
    "cycled_tone",
    "decoder_probe",
    "gradient_tone",
    "level_sweep",
    "overlap_map",
    "phase_gain",
    "shift_equivariance",
}


@pytest.mark.parametrize("name", [n for n in NAMES if n not in BLIND])
def test_a_diverged_reconstruction_is_refused(name, usual):
    broken = usual.reconstruction.clone()
    broken[0, 0, 20, 20] = math.nan
    with pytest.raises(ValueError, match="not finite"):
        catalog.load(PACKAGE, name).measure(Trial(usual.model, usual.target, broken, 2, 4, 8))


#: Pure functions of images and a period.
PERIODIC = ("checkerboard_energy", "content_tone", "cyclic_coherence", "phase_variance", "tone")


@pytest.mark.parametrize("shape", [(1, 1, 33, 47), (2, 3, 35, 33), (3, 1, 41)])
@pytest.mark.parametrize("name", PERIODIC)
def test_odd_sizes_are_cut_to_the_period(name, shape):
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    function = getattr(catalog.load(PACKAGE, name), name)
    whole = images[(..., *(slice(side // 4 * 4) for side in shape[2:]))]
    assert function(images, 4) == pytest.approx(function(whole, 4), nan_ok=True)


@pytest.mark.parametrize("name", NAMES)
def test_transforms_stay_small_however_many_the_images(name, monkeypatch):
    """Memory: no transform holds more than a chunk, or one image with its overlapping tiles."""
    case, largest = trial(images=12), 0
    transforms = {key: getattr(torch.fft, key) for key in ("fftn", "rfftn")}

    def watched(key):
        def transform(x, *args, **kwargs):
            nonlocal largest
            largest = max(largest, x.numel())
            return transforms[key](x, *args, **kwargs)

        return transform

    for key in transforms:
        monkeypatch.setattr(torch.fft, key, watched(key))
    one = case.target[0].numel()
    monkeypatch.setattr(spectra, "CHUNK", 2 * one)
    catalog.load(PACKAGE, name).measure(case)
    assert largest <= 2 * one


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_it_measures_where_the_images_lie(name):
    here = trial()
    model = copy.deepcopy(here.model).double()
    target = here.target.double()
    with torch.no_grad():
        here = dataclasses.replace(here, model=model, target=target, reconstruction=model(target))
    there = dataclasses.replace(
        here,
        model=copy.deepcopy(model).cuda(),
        target=here.target.cuda(),
        reconstruction=here.reconstruction.cuda(),
    )
    measure = catalog.load(PACKAGE, name).measure
    expected, found = measure(here), measure(there)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-7, err_msg=key)


#: What a measure's function may be given beside its images, by the name of the argument.
GIVEN = {
    "period": 2,
    "width": 2,
    "classes": 2,
    "network": lambda x: x,
    "encode": torch.nn.Conv2d(3, 2, 2, stride=2).requires_grad_(False),
}
#: Names of the arguments that are batches of images.
IMAGES = ("images", "residual", "target", "originals")


def functions():
    """Yield a call on one batch of images for every function that takes images, ours and the published ones."""
    for package in (PACKAGE, f"{PACKAGE}.published"):
        for name in catalog.names(package):
            function = getattr(catalog.load(package, name), name)
            required = [n for n, p in inspect.signature(function).parameters.items() if p.default is p.empty]
            if any(n in IMAGES for n in required):
                yield pytest.param(functools.partial(_call, function, required), id=name)


def _call(function, required, images):
    encode = GIVEN["encode"]
    given = {**GIVEN, **dict.fromkeys(IMAGES, images), "encode": lambda x: encode.to(x.dtype)(x)}
    return function(**{name: given[name] for name in required})


def values(found):
    """Return what a function returned as one vector."""
    parts = found.values() if isinstance(found, dict) else found if isinstance(found, tuple) else [found]
    return np.concatenate([np.asarray(part, dtype=np.float64).ravel() for part in parts])


FUNCTIONS = list(functions())
PICTURES = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(3))


def test_nearly_every_measure_takes_images():
    assert len(FUNCTIONS) >= 16


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (PICTURES[0], r"expected \(n, c, length\) with c up to 16, got \(3, 32, 32\); add the batch axis"),
        (PICTURES[0, 0], r"expected shape \(n, c, \*spatial\)"),
        (PICTURES.movedim(1, -1), r"expected \(n, c, h, w\), got \(4, 32, 32, 3\); move the channels"),
        (PICTURES.numpy(), r"expected a torch.Tensor, got ndarray; use torch.as_tensor"),
        (PICTURES.to("meta"), r"expected real numbers, got none, on device meta"),
        (PICTURES + 0j, r"expected real numbers, got torch.complex64"),
        (PICTURES.log() * torch.inf, r"expected finite numbers"),
    ],
    ids=["no batch", "no channels", "channels last", "numpy", "meta", "complex", "infinite"],
)
def test_what_would_be_misread_is_refused_in_one_line(function, images, message):
    with pytest.raises(ValueError, match=message) as caught:
        function(images)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_gradients_are_not_followed_and_change_nothing(function):
    attached = PICTURES.clone().requires_grad_()
    np.testing.assert_array_equal(values(function(attached)), values(function(PICTURES)))
    np.testing.assert_array_equal(values(function(attached * 1.0)), values(function(PICTURES)))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_other_types_read_as_the_numbers_that_they_hold(function, dtype):
    images = PICTURES.to(dtype)
    np.testing.assert_allclose(values(function(images)), values(function(images.double())), rtol=0.02, atol=1e-6)


@pytest.mark.parametrize("name", [*PERIODIC, "cycled_tone", "shift_equivariance"])
def test_one_period_per_axis(name):
    """Both axes with one number, and an axis that has no grid with 1."""
    function = getattr(catalog.load(PACKAGE, name), name)
    images = PICTURES[:, :1].double()
    own = (lambda x: x + 0.1 * x.square(),) if name in ("cycled_tone", "shift_equivariance") else ()
    assert values(function(*own, images, (2, 2))) == pytest.approx(values(function(*own, images, 2)))
    columns = torch.tensor([0.1, -0.1]).repeat(16)
    rows_only = images + columns[:, None]
    tall = values(function(*own, rows_only, (2, 1)))
    assert values(function(*own, rows_only.transpose(2, 3), (1, 2))) == pytest.approx(tall)
    with pytest.raises(ValueError, match=r"period: expected one length, or one for each of 2 spatial axes, got \(2,\)"):
        function(*own, images, (2,))
