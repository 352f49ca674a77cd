"""`checkerscope inspect`: what it prints, writes and refuses, and its exit codes."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from checkerscope.analysis.figures import _inspection
from checkerscope.analysis.inspect import inspect
from checkerscope.experiments.__main__ import run


def save(path: Path, seed: int, amplitude: float = 0.0, side: int = 64) -> Path:
    """Write a noisy picture with a dot every 4 pixels."""
    rng = np.random.default_rng(seed)
    image = 0.5 + 0.1 * rng.standard_normal((side, side, 1)) + 0.02 * rng.standard_normal((side, side, 3))
    image[::4, ::4] += amplitude
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of six pictures with a grid, one of them worse, and make its parent the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for i in range(6):
        save(tmp_path / "out" / f"{i}.png", i, 0.4 if i == 3 else 0.2)
    return tmp_path / "out"


@pytest.mark.usefixtures("folder")
def test_the_answer_comes_first_and_fits_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "out"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("A grid of period 4 px, rows and columns, at -")
    assert "seen in 6 of 6 images." in out.replace("\n", " ")
    rows = out[out.index("worst images") :].splitlines()
    assert rows[1].endswith("3.png")
    assert max(map(len, out.splitlines())) <= 80
    assert "error" not in err


@pytest.mark.usefixtures("folder")
def test_json_is_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "out", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["grid"], found["period"], found["axes"], found["kind"]) == (True, 4, ["rows", "columns"], "grid")
    assert found["images"][0]["name"] == "3.png"
    assert found["p_value"] < 1e-9


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("limit", "code"), [("-60", 1), ("0", 0)])
def test_a_limit_decides_the_exit_code(limit: str, code: int) -> None:
    assert run(["inspect", "out", "--fail-over", limit, "--json"]) == code


def test_clean_pictures_pass_any_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(4):
        save(tmp_path / f"{i}.png", i)
    assert run(["inspect", str(tmp_path), "--fail-over", "-200"]) == 0
    assert capsys.readouterr().out.startswith("No grid found in 4 images at periods of 2 to 16 px")


def test_every_image_is_in_the_table(folder: Path, tmp_path: Path) -> None:
    assert run(["inspect", "out", "--csv", "made/strengths.csv"]) == 0
    with open(tmp_path / "made" / "strengths.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["name"] == "3.png"
    assert len(rows) == len(list(folder.iterdir()))
    assert float(rows[0]["strength_db"]) > float(rows[1]["strength_db"])


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["found.png", "found.svg"])
def test_a_picture_is_drawn(tmp_path: Path, name: str) -> None:
    assert run(["inspect", "out", "--picture", name]) == 0
    assert (tmp_path / name).stat().st_size > 10_000


def test_crops_and_spectrum_have_whole_device_pixels(folder: Path) -> None:
    figure = _inspection.draw(inspect(folder))
    size = figure.get_size_inches() * figure.dpi
    for ax in figure.axes:
        for image in ax.images:
            box = ax.get_position()
            rows, columns = image.get_array().shape[:2]
            for pixels, values in ((box.width * size[0], columns), (box.height * size[1], rows)):
                assert pixels / values == pytest.approx(round(pixels / values), abs=1e-6)
    assert len([ax for ax in figure.axes if ax.images]) == 5


def test_nothing_found_is_drawn_too(tmp_path: Path) -> None:
    save(tmp_path / "one.png", 0)
    assert len(_inspection.draw(inspect(tmp_path)).axes) == 2


def test_files_patterns_and_folders_may_be_mixed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "out/[0-2].png", str(folder / "2.png"), "out/3.png", "--json"]) == 0
    names = {image["name"] for image in json.loads(capsys.readouterr().out)["images"]}
    assert len(names) == 4


def test_pairs_are_judged_by_what_the_reference_leaves(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(5):
        save(folder.parent / "truth" / f"{i}.png", i)
    save(folder.parent / "truth" / "other.png", 9)
    assert run(["inspect", "out", "--reference", "truth", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["period"], len(found["images"])) == (4, 5)
    assert {(p["name"], p["reason"]) for p in found["problems"]} == {
        ("5.png", "no reference of that name"),
        ("other.png", "a reference without a picture"),
    }


def test_a_reference_of_another_size_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(6):
        save(folder.parent / "truth" / f"{i}.png", i, side=48 if i == 2 else 64)
    assert run(["inspect", "out", "--reference", "truth"]) == 0
    assert "picture and reference differ in size: 64 x 64 and 48" in capsys.readouterr().out.replace("\n", " ")


def test_what_cannot_be_used_is_named_and_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 40)
    (folder / "empty.jpg").touch()
    (folder / "small.png").write_bytes(save(folder.parent / "small.png", 0, side=8).read_bytes())
    (folder / "evil\x1b[31m\n.png").write_text("no image")
    (folder / "gone.png").symlink_to(folder / "nothing")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    Image.new("LAB", (64, 64)).save(folder / "lab.tif")
    assert run(["inspect", "out"]) == 0
    out = capsys.readouterr().out
    for said in ("empty file", "8 x 8 pixels, smaller than 16 x 16", "dangling link", "not a regular file", "mode LAB"):
        assert said in " ".join(out.split())
    assert r"evil\x1b[31m\n.png" in out
    assert "\x1b" not in out
    assert "7 unusable, 6 looked at" in out


@pytest.mark.parametrize("make", ["empty", "broken", "missing"])
def test_nothing_usable_is_exit_2_in_one_line(tmp_path: Path, make: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    if make != "missing":
        folder.mkdir()
    if make == "broken":
        (folder / "a.png").write_text("no image")
    assert run(["inspect", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert {"empty": "at least one usable image", "broken": "a.png: not a readable", "missing": "nothing there"}[
        make
    ] in err


@pytest.mark.usefixtures("folder")
def test_bad_options_are_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect"]) == 2
    assert run(["inspect", "out", "--tile", "3"]) == 2
    assert run(["inspect", "out", "--picture", "found.txt"]) == 2
    assert run(["inspect", "out", "--reference", "nowhere"]) == 2
    assert "nothing there" in capsys.readouterr().err


def test_one_picture_is_judged_with_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(folder / "3.png")]) == 0
    assert "One image" in capsys.readouterr().out
