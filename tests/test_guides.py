"""The guides: every listing runs and ends in checks, every claim and picture exists, both languages say the same."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from checkerscope.experiments.__main__ import run
from checkerscope.toolkit import catalog

PROJECT = Path(__file__).resolve().parents[1]
DOCS = PROJECT / "docs"
GUIDES = [DOCS / "guide.md", DOCS / "guide.zh.md"]
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)#]+)")


def blocks(path: Path, language: str) -> list[str]:
    return [body for kind, body in FENCED.findall(path.read_text(encoding="utf-8")) if kind == language]


LISTINGS = [
    pytest.param(code, id=f"{path.stem}-{i}") for path in GUIDES for i, code in enumerate(blocks(path, "python"), 1)
]


@pytest.mark.parametrize("code", LISTINGS)
def test_every_listing_runs_and_ends_in_checks(code: str) -> None:
    last = ast.parse(code).body[-1]
    while isinstance(last, ast.For):
        last = last.body[-1]
    assert isinstance(last, ast.Assert)
    exec(compile(code, "listing", "exec"), {"__name__": "listing"})


PAGES = [*sorted(DOCS.glob("*.md")), PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"]
COMPONENTS = [
    pytest.param(code, id=f"{path.stem}-{i}")
    for path in PAGES
    for i, code in enumerate(blocks(path, "python"), 1)
    if re.search(r"\b(label|source)\b.*=", code, re.IGNORECASE)
]


@pytest.mark.parametrize("code", COMPONENTS)
def test_the_catalogue_reads_every_component_that_is_listed(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"listed_{abs(hash(code))}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text('COMPONENT = "class"\n' if "\nclass " in code else "")
    (tmp_path / package / "it.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = catalog.describe_one(package, "it")
    assert found.label not in ("", "it")
    assert found.source


def test_components_are_listed() -> None:
    assert {str(each.id).partition("-")[0] for each in COMPONENTS} >= {"README", "CONTRIBUTING"}


#: Tests that a new upsampler must pass.
CONTRACT = ("tests/toolkit/upsamplers/test_contract.py", "tests/toolkit/initializers/test_initializers.py")


def test_upsamplers_that_are_listed_pass_the_contract(tmp_path: Path) -> None:
    listed = {str(each.id): str(each.values[0]) for each in COMPONENTS if "FixedUpsampler" in str(each.values[0])}
    assert set(listed) == {"README-1", "CONTRIBUTING-1"}
    for folder in ("checkerscope", "toolkit"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / folder, tmp_path / folder, symlinks=True, ignore=ignored)
    for name in (*CONTRACT, "tests/builders.py", "setup.cfg"):  # what they build with, and how they are run
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    for name, file in (("README-1", "nearest_blur"), ("CONTRIBUTING-1", "nearest_blur_again")):
        (tmp_path / "toolkit" / "upsamplers" / f"{file}.py").write_text(listed[name], encoding="utf-8")
    options = ["-k", "nearest_blur", "-p", "no:cacheprovider", "--color=no"]
    addopts = "addopts=--import-mode=importlib --strict-markers -q"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *CONTRACT, *options, "-o", addopts],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    passed = re.search(r"^(\d+) passed", done.stdout, re.M)
    assert passed is not None, done.stdout
    assert int(passed[1]) >= 20


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_every_command_prints_what_is_shown(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = blocks(path, "console")
    assert shown
    for block in shown:
        command, _, output = block.partition("\n")
        assert command.startswith("$ checkerscope ")
        assert run(shlex.split(command)[2:]) == 0
        assert capsys.readouterr().out == output


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_every_link_leads_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    links = LINK.findall(text)
    for link in links:
        assert (DOCS / link).resolve().is_file(), link
    named = re.findall(r"\[(\w+)\]\(\.\./experiments/claims/\w+/(\w+)\.py\)", text)
    assert all(name == file for name, file in named if "_" in name)
    assert {file for _, file in named} <= set(catalog.names("checkerscope.experiments.claims"))
    anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^## (.*)$", text, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


def test_both_guides_have_the_same_listings_commands_claims_and_pictures() -> None:
    english, chinese = ([ast.dump(ast.parse(code)) for code in blocks(path, "python")] for path in GUIDES)
    assert english == chinese  # comments may differ
    english, chinese = (blocks(path, "console") for path in GUIDES)
    assert english == chinese
    english, chinese = (sorted(LINK.findall(path.read_text(encoding="utf-8"))) for path in GUIDES)
    assert [link for link in english if "guide" not in link] == [link for link in chinese if "guide" not in link]


def drawing_command() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_figures", DOCS / "draw_figures.py")
    assert spec is not None
    assert spec.loader is not None
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    return drawing


def test_pictures_are_what_the_command_draws_pixel_by_pixel() -> None:
    drawing = drawing_command()
    drawn = drawing.pictures()
    shown = re.findall(r"figures/(\w+)\.png", (DOCS / "guide.md").read_text(encoding="utf-8"))
    assert set(drawn) | set(drawing.STUDIES) == set(shown)
    for name, picture in drawn.items():
        path = DOCS / "figures" / f"{name}.png"
        committed = np.asarray(Image.open(path)).astype(int)
        assert committed.shape == picture.shape
        assert np.abs(committed - picture.astype(int)).max() <= 1, name  # rounding on another machine
        times = 24 if name.startswith("phases") else 2 if name.startswith("photo") else 6
        assert (committed == drawing.magnify(committed[::times, ::times], times)).all(), name
        assert path.stat().st_size < 16_000


def test_figures_of_studies_are_those_of_the_published_records() -> None:
    drawing = drawing_command()
    pages = [path.read_text(encoding="utf-8") for path in PAGES]
    for name, which in drawing.STUDIES.items():
        assert any(f"figures/{name}.png" in page for page in pages)
        committed = np.asarray(Image.open(DOCS / "figures" / f"{name}.png").convert("RGB")).astype(int)
        drawn = drawing.study(*which).astype(int)
        assert committed.shape == drawn.shape
        assert (np.abs(committed - drawn) > 64).mean() < 0.005  # another matplotlib smooths letters otherwise
