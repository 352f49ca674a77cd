"""Every way to install it works beside a project that owns folders `toolkit`, `analysis` and `experiments`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Parts of a clone that an install reads; not what was built, run or downloaded there.
SOURCE = ("analysis", "checkerscope", "configs", "experiments", "paper", "toolkit")
FILES = ("LICENSE", "README.md", "pyproject.toml", "setup.cfg")
THEIRS = ("toolkit", "analysis", "experiments")
#: A user's program: their packages and ours, side by side.
SCRIPT = """
import checkerscope, checkerscope.toolkit, checkerscope.analysis, checkerscope.experiments
for name in {theirs!r}:
    own = __import__(name)
    assert own.NAME == "theirs", own
    assert own is not getattr(checkerscope, name)
    print(getattr(checkerscope, name).__file__)
print(checkerscope.__version__, checkerscope.Upsampler.__module__)
"""
NETWORK = """
from torch import nn

def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Upsample(scale_factor=2), nn.Conv2d(4, 3, 3, padding=1))
"""


class Environment:
    """A fresh virtual environment that sees the packages of this one, but not this project."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.bin = folder / "bin"
        (packages,) = folder.glob("lib/python3*/site-packages")
        (packages / "outer.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    def pip(self, command: str, *words: str) -> None:
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(self.bin / "python"), command]
        self.run([*pip, "--no-deps", "--no-build-isolation", "--no-index", *words], self.bin)

    def run(self, words: list[str], folder: Path, *, codes: tuple[int, ...] = (0,)) -> str:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        done = subprocess.run(
            words, cwd=folder, env={**kept, **threads}, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode in codes, f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout


def source(folder: Path) -> Path:
    """Copy what a clone holds."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pdf")
    folder.mkdir()
    for name in SOURCE:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


def plain(environment: Environment, clone: Path) -> None:
    environment.pip("install", str(clone))


def editable(environment: Environment, clone: Path) -> None:
    environment.pip("install", "--editable", str(clone))


def wheel(environment: Environment, clone: Path) -> None:
    environment.pip("wheel", "--wheel-dir", str(clone.parent), str(clone))
    (built,) = clone.parent.glob("checkerscope-*.whl")
    shutil.rmtree(clone)
    environment.pip("install", str(built))


def archive_without_links(environment: Environment, clone: Path) -> None:
    links = [path for path in (clone / "checkerscope").iterdir() if path.is_symlink()]
    assert len(links) == 5
    for link in links:
        link.unlink()
    environment.pip("install", zipped(clone))


def archive_with_links_as_text(environment: Environment, clone: Path) -> None:
    """What a download unpacked without care looks like: a link is a small file that names its target."""
    for link in [path for path in (clone / "checkerscope").iterdir() if path.is_symlink()]:
        target = link.readlink()
        link.unlink()
        link.write_text(str(target))
    environment.pip("install", zipped(clone))


def zipped(clone: Path) -> str:
    """Replace a folder by an archive of it."""
    path = clone.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(clone.rglob("*")):
            archive.write(file, Path("checkerscope-main") / file.relative_to(clone))
    shutil.rmtree(clone)
    return str(path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A research project with packages of the same names as our rooms."""
    folder = tmp_path / "their project"
    for name in THEIRS:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text('NAME = "theirs"\n')
    (folder / "toolkit" / "nets.py").write_text(NETWORK)
    (folder / "script.py").write_text(SCRIPT.format(theirs=THEIRS))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("install", [plain, editable, wheel, archive_without_links, archive_with_links_as_text])
def test_it_works_beside_a_project_with_the_same_names(
    install: Callable[[Environment, Path], None], project: Path, tmp_path: Path, tiny_text: str
) -> None:
    environment = Environment(tmp_path / "environment")
    install(environment, source(tmp_path / "clone"))
    python, console = str(environment.bin / "python"), str(environment.bin / "checkerscope")

    *files, last = environment.run([python, "script.py"], project).splitlines()
    home = tmp_path / ("clone" if install is editable else "environment")
    assert all(Path(file).is_relative_to(home) for file in files), files
    assert last.endswith("checkerscope.toolkit.contracts.upsampler")

    words = ["list", "upsamplers", "--json"]
    listed = environment.run([console, *words], project)
    assert listed == environment.run([python, "-m", "checkerscope", *words], project)
    assert "nearest_conv" in {found["name"] for found in json.loads(listed)}
    said = environment.run([console, "audit", "toolkit.nets:make", "--input", "1,3,16,16"], project, codes=(0, 1))
    assert "lean" in said  # clean or not, it is a verdict on their network

    (project / "tiny.toml").write_text(tiny_text)
    for command in ("run", "measure"):  # with a spawned worker, which imports everything anew
        environment.run([python, "-m", "checkerscope", command, "tiny.toml", "--workers", "1"], project)
    environment.run([console, "verify", "results"], project)
    made = {path.name for path in project.iterdir()}
    assert made - {"__pycache__"} == {*THEIRS, "script.py", "tiny.toml", "results"}


@pytest.mark.slow
def test_a_wheel_holds_every_module_config_and_record(tmp_path: Path) -> None:
    environment, clone = Environment(tmp_path / "environment"), source(tmp_path / "clone")
    environment.pip("wheel", "--wheel-dir", str(tmp_path), str(clone))
    (built,) = tmp_path.glob("checkerscope-*.whl")
    held = set(zipfile.ZipFile(built).namelist())
    wanted = {f"checkerscope/{file}" for file in tracked() if file.split("/")[0] in SOURCE[:1] + SOURCE[2:]}
    assert {file for file in wanted if file.endswith((".py", ".toml", ".typ", ".bib", ".csv", ".json", ".npz"))} <= held
    assert not {file for file in held if file.startswith(tuple(f"{name}/" for name in THEIRS))}
    assert "checkerscope/py.typed" in held


def tracked() -> list[str]:
    """Return the files of the clone, as far as they are not made there."""
    found = (path for name in SOURCE for path in (ROOT / name).rglob("*") if path.is_file())
    return [path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts]
