"""A cure in a study: a run of its own that starts from the trained one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study import config
from checkerscope.experiments.study.config import ConfigError
from checkerscope.experiments.study.grid import Grid
from checkerscope.experiments.study.spec import RunSpec

CURES = (
    '["none", {name = "equal_gain", finetune = 3}, {name = "smooth"}, {name = "phase_affine"},'
    ' {name = "self_distil", steps = 2, images = 4, size = 16}]'
)
SET = (
    *("--set", f"grid.cure={CURES}"),
    *("--set", 'grid.upsampler=[{name = "transposed_conv", kernel_size = 4}]'),
    *("--set", "grid.seed=[0]"),
)


def grid(tiny: Path, *overrides: str) -> Grid:
    return Grid(config.read(tiny, overrides), str(tiny))


def test_a_run_without_a_cure_keeps_its_id(tiny: Path) -> None:
    plain, cured = grid(tiny), grid(tiny, f"grid.cure={CURES}")
    with_none = [run.spec for run in cured if run.spec.cure is None]
    assert {spec.id for spec in with_none} == {run.spec.id for run in plain}
    assert all("cure" not in json.loads(spec.canonical) for spec in with_none)
    others = [run.spec for run in cured if run.spec.cure is not None]
    assert {spec.base.id for spec in others if spec.base} == {spec.id for spec in with_none}
    assert [RunSpec.model_validate_json(spec.canonical).id for spec in others] == [spec.id for spec in others]


def test_arms_are_named_after_layer_and_cure(tiny: Path) -> None:
    arms = list(dict.fromkeys(run.arm for run in grid(tiny, f"grid.cure={CURES}")))
    assert arms[0] == "Nearest + conv"
    assert "Transposed conv k4, Equal phase gains finetune 3" in arms


@pytest.mark.parametrize(
    ("cure", "message"),
    [
        ('["none", "hodl"]', "did you mean 'hold'"),
        ('["none", {name = "hold", place = "last"}]', "hold has no option 'place'"),
        ('["none", {name = "hold", finetune = -1}]', "greater than or equal to 0"),
    ],
)
def test_a_cure_that_does_not_exist_is_named(tiny: Path, cure: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grid(tiny, f"grid.cure={cure}")


def test_a_cure_that_fits_no_layer_is_named_before_anything_is_trained(
    tiny: Path, checkerscope: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert checkerscope("run", tiny, "--set", 'grid.cure=["none", "icnr"]') == 2
    assert "icnr: expected a layer whose phase gains can differ" in capsys.readouterr().err


def test_cured_runs_are_stored_measured_and_collected(
    tiny: Path, tmp_path: Path, checkerscope: Callable[..., int]
) -> None:
    assert checkerscope("run", tiny, *SET) == checkerscope("measure", tiny, *SET) == 0
    assert checkerscope("collect", tiny, *SET) == 0
    store = Store(tmp_path / "results", "tiny")
    runs = {
        run.factors["cure"] if isinstance(run.factors["cure"], str) else run.factors["cure"]["name"]: run.spec
        for run in grid(tiny, *SET[1::2])
    }
    trained = load(store.load(runs["none"].id, "step-0000008.safetensors"))
    start = load(store.load(runs["equal_gain"].id, "step-0000000.safetensors"))
    key = "upsamplers.0.conv.parametrizations.weight.original"
    assert torch.equal(start[key], trained["upsamplers.0.conv.weight"])
    assert store.record(runs["equal_gain"].id)["steps"] == 3
    assert store.record(runs["equal_gain"].id)["macs"] == store.record(runs["none"].id)["macs"]
    folder = tmp_path / "results" / "tiny" / "records"
    rows = list(csv.DictReader(io.StringIO((folder / "runs.csv").read_text())))
    assert {row["base"] for row in rows} == {runs["none"].id}
    values = list(csv.DictReader(io.StringIO((folder / "values.csv").read_text())))
    flat = {(v["run"], v["step"]): float(v["value"]) for v in values if v["metric"] == "tone.flat_rms"}
    assert flat[runs["none"].id, "8"] > 1e-3
    assert all(
        flat[runs[name].id, step] < 1e-6 for name, step in (("equal_gain", "3"), ("smooth", "0"), ("self_distil", "0"))
    )


def test_a_cured_run_trains_its_base_where_that_is_missing(
    tiny: Path, tmp_path: Path, checkerscope: Callable[..., int]
) -> None:
    from checkerscope.experiments.execution.training import Place, train_run

    spec = next(run.spec for run in grid(tiny, *SET[1::2]) if run.spec.cure is not None)
    assert spec.base is not None
    Store(tmp_path / "results", "tiny").prepare()
    assert train_run(spec.canonical, Place(str(tmp_path / "results"), "tiny"))["status"] == "done"
    assert Store(tmp_path / "results", "tiny").is_finished(spec.base.id)


def test_the_run_that_a_cure_starts_from_belongs_to_the_config(
    tiny: Path, checkerscope: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--set", 'grid.cure=[{name="equal_gain"}]', "--set", "grid.seed=[0]", "--set", "train.steps=0")
    upsampler = 'grid.upsampler=[{name="transposed_conv",kernel_size=4}]'
    assert checkerscope("run", tiny, *options, "--set", upsampler) == 0
    assert capsys.readouterr().out == "tiny: 1 done of 1 runs\n"
