"""`checkerscope cure`: a stored run, somebody's model, and one line per mistake."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load, load_file

from checkerscope.experiments.__main__ import run
from checkerscope.experiments.execution import fit
from checkerscope.experiments.store.runs import Store, weights_name
from checkerscope.experiments.study import build
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.toolkit import catalog
from checkerscope.toolkit.networks.autoencoder import Autoencoder
from checkerscope.toolkit.remedies import fold
from checkerscope.toolkit.upsamplers.transposed_conv import TransposedConv

MODELS = """
import torch
from torch import nn
def autoencoder():
    print("made")
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.ConvTranspose2d(4, 3, 4, 2, 1))
def decoder(): return nn.ConvTranspose2d(8, 3, 4, 2, 1)
def flat(): return nn.Conv2d(3, 3, 3)
def weight(model): return float(sum(p.abs().sum() for p in model.parameters()))
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cured_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)


def dirty_run(results: Path) -> str:
    """Return the first run of the tiny study whose upsampler can leave a grid."""
    store = Store(results, "tiny")
    specs = {name: json.loads(store.load(name, "spec.json")) for name in store.runs()}
    return next(name for name, spec in specs.items() if spec["upsampler"]["name"] == "transposed_conv")


def test_a_stored_run_is_cured_compared_and_written(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, output = dirty_run(results), tmp_path / "cured.safetensors"
    command = ["cure", name, "--results", str(results), "--remedy", "equal_gain", "--set", "order=1"]
    assert run([*command, "--finetune", "2", "--output", str(output), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["options"] == {"order": 1}
    assert said["removed"]["flat"] > 0.999
    assert said["before"]["parameters"] == said["after"]["parameters"]
    network = Autoencoder(TransposedConv, width=4, latent_channels=4)
    network.load_state_dict(load_file(output))
    assert run([*command[:1], str(results / "tiny" / "runs" / name), "--remedy", "phase_affine"]) == 0
    shown = capsys.readouterr().out
    assert "PSNR (dB)" in shown
    assert max(map(len, shown.splitlines())) <= 80 + len(str(results))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_a_fine_tune_is_the_studys_own_in_the_runs_precision(
    precision: str, tiny: Path, tmp_path: Path, checkerscope: Callable[..., int]
) -> None:
    cures = 'grid.cure=["none", {name = "equal_gain", finetune = 3, learning_rate = 1e-3}]'
    arm = 'grid.upsampler=[{name = "transposed_conv", kernel_size = 4}]'
    sets = (cures, arm, "grid.seed=[3]", "train.steps=4", f"train.precision={precision}")
    assert checkerscope("run", tiny, *(word for text in sets for word in ("--set", text))) == 0
    store = Store(tmp_path / "results", "tiny")
    base, cured = sorted(store.runs(), key=lambda name: b"cure" in store.load(name, "spec.json"))
    output = tmp_path / "cured.safetensors"
    options = ["--remedy", "equal_gain", "--finetune", "3", "--learning-rate", "1e-3", "--output", str(output)]
    assert run(["cure", base, "--results", str(tmp_path / "results"), *options]) == 0
    spec = RunSpec.model_validate_json(store.load(cured, "spec.json"))
    network = build.architecture(spec, build.data(spec, "test")).to(fit.recipe(spec).dtype)
    network.load_state_dict(load(store.load(cured, weights_name(3))))
    there, here = fold.apply(network).state_dict(), load_file(output)
    assert {value.dtype for value in here.values()} == {fit.recipe(spec).dtype}
    # the folded kernels are projected from another layout in memory
    torch.testing.assert_close(here, there, rtol=1e-14 if precision == "float64" else 1e-6, atol=1e-16)


@pytest.mark.usefixtures("models")
def test_somebodys_model_is_cured_without_its_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--remedy", "self_distil", "--set", "steps=2", "--set", "images=4", "--output", "cured.safetensors"]
    metric = ["--metric", "cured_models:weight"]
    assert run(["cure", "cured_models:autoencoder", "--input", "4,3,64,64", *options, *metric, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["removed"]["flat"] > 0.999
    assert said["after"]["metric"] > 0
    assert sorted(load_file(tmp_path / "cured.safetensors")) == ["0.bias", "0.weight", "2.bias", "2.weight"]


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0123456789ab", "--remedy", "hold"], "expected a run under results"),
        (["cured_models:decoder", "--remedy", "hold"], "--input: missing"),
        (["cured_models:decoder", "--input", "1,8,8,8", "--remedy", "hold"], "expected a batch of 2 or more"),
        (["cured_models:decoder", "--input", "2,4,8,8", "--remedy", "hold"], "the model fails on the example input"),
        (["cured_models:flat", "--input", "2,3,8,8", "--remedy", "hold"], "no layer enlarges"),
        (["cured_models:decoder", "--input", "2,8,32,32", "--remedy", "hodl"], "did you mean 'hold'"),
        (["cured_models:decoder", "--input", "2,8,32,32", "--remedy", "hold", "--set", "place=last"], "'places'"),
        (["cured_models:decoder", "--input", "2,8,32,32", "--remedy", "hold", "--set", "places"], "expected KEY=VALUE"),
        (["cured_models:decoder", "--input", "2,8,32,32", "--remedy", "self_distil"], "pass inputs"),
        (["cured_models:decoder", "--input", "2,8,32,32", "--remedy", "phase_affine"], "which a stored run has"),
        (["cured_models:decoder", "--input", "2,8,32,32", "--remedy", "hold", "--finetune", "5"], "no training images"),
        (
            ["cured_models:decoder", "--input", "2,8,32,32", "--remedy", "hold", "--metric", "cured_models:x"],
            "--metric cured_models:x: AttributeError",
        ),
        (
            ["cured_models:decoder", "--input", "2,8,32,32", "--remedy", "hold", "--metric", "cured_models:torch.pi"],
            "--metric cured_models:torch.pi: expected a function, got float",
        ),
        (
            ["cured_models:decoder", "--input", "2,8,32,32", "--remedy", "hold", "--metric", "builtins:exit"],
            "--metric builtins:exit: SystemExit",
        ),
    ],
)
def test_what_cannot_be_cured_is_one_line_and_exit_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["cure", *words]) == 2
    assert message in capsys.readouterr().err


DEEP = "order=" + "[" * 5000


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--learning-rate", "0"], "--learning-rate: expected a number above 0, got 0"),
        (["--learning-rate", "-1"], "--learning-rate: expected a number above 0, got -1"),
        (["--learning-rate", "nan"], "--learning-rate: expected a number above 0, got nan"),
        (["--learning-rate", "inf"], "--learning-rate: expected a number above 0, got inf"),
        (["--set", DEEP], "equal_gain: order: expected an integer, got '[["),
        (["--set", "order=1\nplaces=2"], "--set order: expected one value, got several lines"),
        (["--set", f"order={'9' * 5000}"], "--set order: not valid TOML: "),
    ],
)
def test_a_value_that_is_none_is_one_line_that_names_it(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["cure", "cured_models:decoder", "--input", "2,8,32,32", "--remedy", "equal_gain", *words]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {line}")
    assert shown.count("\n") == 1


def draw_pictures(folder: Path, darker: int) -> None:
    """Write three images per split, and forget those that were read, as a new process does."""
    for number, split in enumerate(("train", "train", "train", "test", "test", "test")):
        noise = np.random.default_rng(number).integers(0, 256, (48, 48, 3), dtype=np.uint8)
        (folder / split).mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise // darker).save(folder / split / f"{number}.png")
    build._fingerprint.cache_clear()
    build._data.cache_clear()


def test_a_run_whose_images_have_changed_is_refused(
    tiny: Path, tmp_path: Path, checkerscope: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    draw_pictures(pictures, darker=1)
    source = f'source = {{name = "folder", path = "{pictures}"}}'
    tiny.write_text(tiny.read_text().replace('source = {name = "photos", images = 64}', source))
    assert checkerscope("run", tiny, "--set", "grid.seed=[0]", "--set", "train.steps=2") == 0
    name = dirty_run(tmp_path / "results")
    command = ["cure", name, "--results", str(tmp_path / "results"), "--remedy", "equal_gain"]
    assert run(command) == 0
    draw_pictures(pictures, darker=2)
    assert run(command) == 2
    assert f"{name}: its images have changed since it was trained" in capsys.readouterr().err
    draw_pictures(pictures, darker=1)
    assert run(command) == 0


def test_a_run_of_a_component_that_is_gone_is_one_line_that_names_its_spec(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, folder = dirty_run(results), catalog.folder
    left = shutil.copytree(folder("checkerscope.toolkit.upsamplers"), tmp_path / "upsamplers")
    (left / "transposed_conv.py").unlink()
    monkeypatch.setattr(catalog, "folder", lambda package: left if package.endswith("upsamplers") else folder(package))
    assert run(["cure", name, "--results", str(results), "--remedy", "equal_gain"]) == 2
    spec = (results / "tiny" / "runs" / name / "spec.json").resolve()
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {spec}: upsampler: upsamplers: there is no 'transposed_conv'")
    assert shown.count("\n") == 1
