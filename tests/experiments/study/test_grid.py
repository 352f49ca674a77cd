"""From config to runs: counting equals enumerating, ids are stable, and a large grid is cheap to look at."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checkerscope.experiments.study import config
from checkerscope.experiments.study.config import Config, ConfigError
from checkerscope.experiments.study.grid import Grid, matches
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.toolkit import catalog

PROJECT = Path(__file__).resolve().parents[3]
CONFIGS = sorted((PROJECT / "configs").glob("*.toml"))
BASE: dict[str, Any] = {
    "study": {"name": "grid", "question": "How many?"},
    "images": {"source": "photos", "size": 64},
    "network": {"name": "autoencoder"},
    "train": {"steps": 10, "batch_size": 4, "learning_rate": 1e-3},
    "measure": {"measures": ["tone"]},
}


def grid(exclude: list[dict[str, Any]] | None = None, **factors: Any) -> Grid:
    factors = {"upsampler": ["nearest_conv"], "initializer": ["default"], "seed": [0, 1], **factors}
    return Grid(config.validate(Config, {**BASE, "grid": factors, "exclude": exclude or []}, "test"), "test")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_repository_expands(path: Path) -> None:
    expanded = Grid(config.read(path), str(path))
    runs = list(expanded)
    assert len(expanded) == len(runs) > 0
    assert len({run.spec.id for run in runs}) == len(runs)
    assert expanded.config.study.name == path.stem
    seeds = Counter(run.arm for run in runs)
    assert set(seeds.values()) == {len(expanded.factors["seed"])}, "two arms have one label"


def test_the_catalogue_study_trains_every_upsampler_of_ours() -> None:
    """One that somebody drops into the folder is in the published study only once its config lists it."""
    path = PROJECT / "configs" / "catalogue.toml"
    trained = {run.spec.upsampler.name for run in Grid(config.read(path), str(path))}
    assert trained <= set(catalog.names("checkerscope.toolkit.upsamplers"))
    assert len(trained) == 32


def test_the_full_grid_has_the_arms_that_its_factors_say() -> None:
    full = Grid(config.read(PROJECT / "configs" / "paper.toml"), "paper")
    everything = itertools.product(*full.factors.values())
    named = [dict(zip(full.factors, values, strict=True)) for values in everything]
    assert len(full) == sum(
        not any(all(matches(c[k], w) for k, w in r.items()) for r in full.config.exclude) for c in named
    )


def test_a_key_counts_over_its_section_in_whatever_order_they_stand() -> None:
    sections = [{"steps": 3, "batch_size": size, "learning_rate": 1e-3} for size in (2, 3)]
    runs = list(grid(**{"train.steps": [4], "train": sections, "seed": [0]}))
    assert {run.spec.train.steps for run in runs} == {4}
    assert {run.spec.train.batch_size for run in runs} == {2, 3}


def test_a_truth_value_excludes_no_number() -> None:
    with pytest.raises(ConfigError, match=r"exclude\.0: no value of seed matches True"):
        grid(seed=[0, 1], exclude=[{"seed": True}])


def test_counting_equals_enumerating() -> None:
    k3 = {"name": "transposed_conv", "kernel_size": 3}
    many = grid(
        upsampler=["nearest_conv", k3, {"name": "transposed_conv"}, "pixel_shuffle"],
        initializer=["default", "icnr", "orthogonal"],
        scale=[2, 3],
        seed=[0, 1, 2],
        exclude=[
            {"initializer": "icnr", "upsampler": ["nearest_conv", "transposed_conv"]},
            {"upsampler": k3, "scale": 3},
            {"seed": 2, "upsampler": "pixel_shuffle"},
        ],
    )
    assert len(many) == len(list(many)) == 3 * 2 * 2 * 3 - 2 * 3 + 3 * 2 * 2


@pytest.mark.parametrize("trial", range(12))
def test_counting_equals_enumerating_under_any_rules(trial: int) -> None:
    """Rules over one to four factors, overlapping, with lists, tables and names."""
    draw = random.Random(trial)
    arms = ["nearest_conv", "pixel_shuffle", {"name": "transposed_conv", "kernel_size": 4}, "transposed_conv"]
    factors: dict[str, list[Any]] = {
        "upsampler": arms,
        "train.steps": [1, 2, 3],
        "network.width": [4, 5, 6, 7],
        "seed": [0, 1, 2],
    }
    rules = [
        {key: draw.sample(values, draw.randint(1, 2)) for key, values in factors.items() if draw.random() < 0.6}
        for _ in range(draw.randint(1, 5))
    ]
    expanded = grid([rule for rule in rules if rule] or [{"seed": 0}], **factors)
    runs = list(expanded)
    assert len(expanded) == len(runs) == len({run.spec.id for run in runs}) > 0


HUGE = {
    "upsampler": [{"name": "transposed_conv", "kernel_size": 4, "dilation": n} for n in range(1, 401)],
    "train.steps": list(range(400)),
    "seed": list(range(1000)),
}


def test_forty_million_runs_with_a_rule_over_three_factors_are_counted_in_a_second() -> None:
    rule = {"upsampler": {"dilation": 7}, "train.steps": [1, 2], "seed": 5}
    began = time.process_time()
    assert len(grid([rule], **HUGE)) == 400 * 400 * 1000 - 2
    assert time.process_time() - began < 2, "45 s when every choice was looked at"


def test_stored_runs_are_found_without_a_look_at_the_rest() -> None:
    huge = grid(**HUGE)
    assert list(huge.among([])) == []
    third = list(itertools.islice(huge, 3))[-1]
    assert [run.spec.id for run in huge.among([third.spec.id])] == [third.spec.id]


def test_a_cure_is_found_by_the_run_that_it_starts_from() -> None:
    cures = grid(cure=["none", {"name": "fold"}, {"name": "fold", "finetune": 2}])
    plain = next(run.spec.id for run in cures if run.spec.cure is None)
    assert [run.spec.cure and run.spec.cure.finetune for run in cures.among([plain])] == [None]
    only = grid(cure=[{"name": "fold"}, {"name": "fold", "finetune": 2}])
    assert [run.spec.seed for run in only.among([plain])] == [0]


def test_seeds_come_last_and_arms_in_config_order() -> None:
    runs = list(grid(upsampler=["pixel_shuffle", "nearest_conv"], seed=[3, 1]))
    assert [(run.arm, run.spec.seed) for run in runs] == [
        ("Sub-pixel", 3),
        ("Sub-pixel", 1),
        ("Nearest + conv", 3),
        ("Nearest + conv", 1),
    ]


def test_an_arm_is_named_by_what_varies() -> None:
    options = {"name": "transposed_conv", "kernel_size": 4, "bias": False}
    named = grid(
        **{"upsampler": [options], "initializer": ["default", "orthogonal"], "network.final_conv": [True, False]}
    )
    assert next(iter(named)).arm == "Transposed conv k4 bias off, default, final conv on"


NETWORK = {"name": "autoencoder", "depth": 2}
TRAIN = {"batch_size": 2, "learning_rate": 0.5}


@pytest.mark.parametrize(
    ("factors", "labels"),
    [
        ({"upsampler": [{"name": "transposed_conv", "options": {"kernel_size": 4}}]}, ["Transposed conv k4"]),
        (
            {"train": [{**TRAIN, "steps": 1}, {**TRAIN, "steps": 2}]},
            [f"Nearest + conv, train batch size 2 learning rate 0.5 steps {steps}" for steps in (1, 2)],
        ),
        (
            {"network": [{**NETWORK, "width": 4}, {**NETWORK, "width": 8}, "unet"]},
            [f"Nearest + conv, network {told}" for told in ("autoencoder width 4", "autoencoder width 8", "unet")],
        ),
        (
            {"network": [NETWORK, {"name": "unet"}], "network.width": [4, 8]},
            [f"Nearest + conv, network {name}, width {w}" for name in ("autoencoder", "unet") for w in (4, 8)],
        ),
        (
            {"images.source": [{"name": "folder", "path": path} for path in "ab"]},
            [f"Nearest + conv, source folder path {path}" for path in "ab"],
        ),
        (
            {"images": [{"source": {"name": "folder", "path": path}, "size": 64} for path in "ab"]},
            [f"Nearest + conv, images source folder path {path} size 64" for path in "ab"],
        ),
    ],
)
def test_different_arms_have_different_labels(factors: dict[str, list[Any]], labels: list[str]) -> None:
    made = list(grid(**factors))
    assert list(dict.fromkeys(run.arm for run in made)) == labels
    assert set(Counter(run.arm for run in made).values()) == {2}
    assert len({run.spec.id for run in made}) == len(made)


def test_two_files_of_one_label_are_told_apart_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    found = catalog.describe_one

    def describe_one(package: str, name: str) -> catalog.Component:
        return dataclasses.replace(found(package, name), label=label(name))

    monkeypatch.setattr(catalog, "describe_one", describe_one)
    label: Callable[[str], str] = lambda name: "Up"  # noqa: E731
    arms = {
        run.arm for run in grid(upsampler=["nearest_conv", {"name": "transposed_conv", "kernel_size": 4}, "nearest"])
    }
    assert arms == {"Up (nearest_conv)", "Up k4", "Up (nearest)"}
    label = lambda name: "Up, up" if name == "nearest_conv" else "Up"  # noqa: E731
    with pytest.raises(
        ConfigError, match=r"test: grid.upsampler: .* got 'Up' for nearest and nearest_conv; change a la"
    ):
        grid(upsampler=["nearest", "nearest_conv"], initializer=["default"])


PUBLISHED = [path for path in CONFIGS if (PROJECT / "paper" / "data" / path.stem / "runs.csv").is_file()]


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_arms_keep_their_labels(path: Path) -> None:
    with (PROJECT / "paper" / "data" / path.stem / "runs.csv").open(encoding="utf-8", newline="") as file:
        published = {row["run"]: row["arm"] for row in csv.DictReader(file)}
    assert published == {run.spec.id: run.arm for run in Grid(config.read(path), str(path))}


def test_run_ids_are_stable() -> None:
    """A changed id orphans every stored run: it must come with a new format version and a note in the changelog."""
    first, second = grid()
    assert first.spec.canonical == (
        '{"images":{"seed":0,"size":64,"source":{"name":"photos","options":{}}},'
        '"initializer":{"name":"default","options":{}},"network":{"name":"autoencoder","options":{}},"scale":2,"seed":0,'
        '"train":{"batch_size":4,"learning_rate":0.001,"loss":"mse","precision":"float32","snapshots":[0],"steps":10},'
        '"upsampler":{"name":"nearest_conv","options":{}}}'
    )
    assert (first.spec.id, second.spec.id) == ("5be0c1db6cc2", "280b71998b92")


def test_an_id_depends_on_every_number_and_on_no_order() -> None:
    spec = next(iter(grid())).spec
    raw = json.loads(spec.canonical)
    shuffled = json.dumps(dict(reversed(raw.items())))
    assert RunSpec.model_validate_json(shuffled).id == spec.id
    changes = {"scale": 3, "seed": 1, "images": {**raw["images"], "seed": 1}, "train": {**raw["train"], "steps": 11}}
    changed = {RunSpec.model_validate_json(json.dumps({**raw, key: value})).id for key, value in changes.items()}
    assert len(changed | {spec.id}) == len(changes) + 1


def test_an_impossible_pair_passes_once_it_is_excluded() -> None:
    with pytest.raises(ConfigError, match="icnr cannot initialize nearest_conv"):
        grid(initializer=["icnr"])
    pairs: dict[str, Any] = {"upsampler": ["nearest_conv", "pixel_shuffle"], "initializer": ["icnr"]}
    assert len(grid(exclude=[{"initializer": "icnr", "upsampler": "nearest_conv"}], **pairs)) == 2


def test_a_million_runs_are_counted_in_two_seconds_and_200_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "million.toml"
    path.write_text(
        'scale = 2\n[study]\nname = "million"\nquestion = "How many?"\n[images]\nsource = "photos"\nsize = 64\n'
        '[network]\nname = "autoencoder"\n[train]\nsteps = 10\nbatch_size = 4\nlearning_rate = 1e-3\n'
        '[measure]\nmeasures = ["tone"]\n[grid]\nupsampler = ["nearest_conv", "pixel_shuffle"]\n'
        f'initializer = ["default"]\nseed = {list(range(500))}\n"train.batch_size" = {list(range(1, 101))}\n'
        '"network.width" = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n'
        '[[exclude]]\nupsampler = "pixel_shuffle"\n"network.width" = 10\n'
    )
    program = (
        "import sys; from checkerscope.experiments.__main__ import run\n"
        f"code = run(['run', {str(path)!r}, '--dry-run'])\n"
        # getrusage would count the process that forked this one
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(int(peak.split()[1]) // 1024, 'torch' in sys.modules); sys.exit(code)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path])}
    began = os.times()
    out = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    ended = os.times()
    count, memory = out.stdout.splitlines()
    assert count.startswith("million: 950000 runs")
    megabytes, has_torch = memory.split()
    assert int(megabytes) < 200
    assert has_torch == "False"
    # processor time of the child: the clock on the wall tells of the machine's other work
    assert ended.children_user + ended.children_system - began.children_user - began.children_system < 2


def test_a_large_grid_is_started_only_when_told_so(tmp_path: Path) -> None:
    from checkerscope.experiments.execution.session import Session

    session = Session(grid(**{"seed": list(range(101)), "train.batch_size": list(range(1, 101))}), tmp_path, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="grid: 10100 runs; pass --yes to start more than 10000"):
        session.train()
