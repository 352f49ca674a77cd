"""CONTRIBUTING.md: its listings pass the checks of the code, and what it points to is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
TEXT = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
LISTINGS = re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", TEXT, re.M | re.S)


def test_every_listing_names_its_file() -> None:
    assert len(LISTINGS) == TEXT.count("```python") >= 2


@pytest.mark.parametrize(("name", "code"), LISTINGS, ids=[name for name, _ in LISTINGS])
def test_listings_pass_make_check(name: str, code: str, tmp_path: Path) -> None:
    """As the file that they name: ruff's rules differ by folder."""
    ruff = [sys.executable, "-m", "ruff"]
    for words in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [*ruff, *words, "--stdin-filename", name, "-"],
            cwd=PROJECT, input=code, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    file = tmp_path / Path(name).name
    file.write_text(code, encoding="utf-8")
    mypy = [sys.executable, "-m", "mypy", "--config-file", str(PROJECT / "setup.cfg"), "--follow-imports", "silent"]
    done = subprocess.run([*mypy, str(file)], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_it_points_to_is_there() -> None:
    pointed = set(re.findall(r"`((?:toolkit|analysis|experiments|tests|docs|\.ci)/[\w./]*)`", TEXT))
    assert len(pointed) > 15
    assert [path for path in sorted(pointed) if not (PROJECT / path).exists()] == []
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"`make ([a-z-]+)", TEXT)) <= targets


def test_the_map_of_the_code_points_to_files() -> None:
    text = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [re.findall(r"`([\w./]+)`", line) for line in text.splitlines() if line.startswith("|")]
    missing = []
    for row in rows:
        folder = Path()  # of the path before, where only a name is given
        for path in map(Path, row):
            folder = path.parent if len(path.parts) > 1 else folder
            if path.suffix == ".py" and folder != Path() and not (PROJECT / folder / path.name).exists():
                missing.append(str(folder / path.name))
    assert sum(map(len, rows)) > 30
    assert missing == []
    listed = set(re.findall(r"^  (\w+)/", text, re.M))
    assert {"cli", "store", "figures", "training"} <= listed
    assert [name for name in listed if not list(PROJECT.glob(f"*/{name}/__init__.py"))] == []
