"""Configs by path and by name, from anywhere; and a first one for somebody's own images."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from checkerscope.experiments.__main__ import run
from checkerscope.experiments.study import packaged, starter


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["smoke", "smoke.toml", "configs/smoke.toml"])
def test_a_config_is_found_by_its_name_from_anywhere(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", name, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["study"] == "smoke"


def test_a_path_comes_before_a_name_and_ones_own_folder_before_the_program(tmp_path: Path, tiny: Path) -> None:
    assert packaged.config_file(Path("quick")) == packaged.CONFIGS / "quick.toml"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "quick.toml").write_text(tiny.read_text())
    assert packaged.config_file(Path("quick")) == Path("configs/quick.toml")
    assert packaged.configs()["quick"] == Path("configs/quick.toml")
    (tmp_path / "quick").mkdir()  # somebody's results are no config
    assert packaged.config_file(Path("quick")) == Path("configs/quick.toml")
    Path("quick.toml").write_text(tiny.read_text())
    assert packaged.config_file(Path("quick")) == Path("quick.toml")


def test_what_is_neither_path_nor_name_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    for given in ("quik", "quik.toml", "./quik"):
        assert run(["study", given]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{Path(given)}: no such config; did you mean 'quick'? known: catalogue, cures, " in line
    assert run(["study", "nowhere/quick.toml"]) == 2


def test_list_configs_works_from_any_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "configs", "--json"]) == 0
    listed = {row["name"]: row["label"] for row in json.loads(capsys.readouterr().out)}
    assert listed.keys() == {path.stem for path in packaged.CONFIGS.glob("*.toml")}
    assert all(len(label) > 20 for label in listed.values())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twelve pictures of 48 x 40 pixels."""
    folder = tmp_path / 'My "images" é'
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(12):
        coarse = random.integers(0, 256, (6, 5, 3), dtype=np.uint8)
        Image.fromarray(coarse.repeat(8, 0).repeat(8, 1)).save(folder / f"{i}.png")
    return folder


def test_init_writes_a_config_that_runs(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(images)]) == 0
    (file,) = capsys.readouterr().out.split()
    assert file == f"{starter.name(images.name)}.toml"
    assert "size = 32 " in Path(file).read_text()
    assert run(["run", file, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == 12
    small = ("train.steps=2", "network.width=4", "grid.seed=[0,1]", 'grid.upsampler=["pixel_shuffle"]', "exclude=[]")
    assert run(["study", file, "--workers", "0", *(word for each in small for word in ("--set", each))]) == 0
    name = Path(file).stem
    assert (Path("results") / name / "report" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_the_next_command_can_be_pasted(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(images), "--output", "my images.toml"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert shlex.split(line) == ["next:", "checkerscope", "study", "my images.toml"]


def test_init_never_overwrites(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.toml").write_text("precious")
    assert run(["init", str(images), "--output", "mine.toml"]) == 2
    assert "mine.toml: is there already, and nothing is overwritten" in capsys.readouterr().err
    assert Path("mine.toml").read_text() == "precious"


@pytest.mark.parametrize(("side", "message"), [(0, "at least one image in the train split"), (20, "smaller than 32 x")])
def test_init_says_what_the_images_lack(
    side: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    for i in range(12 if side else 0):
        Image.new("RGB", (side, side), (i, 0, 0)).save(tmp_path / "images" / f"{i}.png")
    assert run(["init", "images"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("images.toml").exists()
