"""`import checkerscope` is light, and offers the names that people use."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import checkerscope

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "numpy", "scipy", "pandas", "matplotlib", "seaborn", "skimage", "PIL", "pydantic", "click", "tqdm"}


def in_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_importing_the_package_imports_nothing_else() -> None:
    """Its own file is all that is read: the rest comes with the first name that is used."""
    code = "import sys; before = set(sys.modules); import checkerscope; print(*sorted(set(sys.modules) - before))"
    loaded = set(in_python(code).split())
    assert "checkerscope" in loaded
    assert {name for name in loaded if name.startswith("checkerscope.")} == set()
    assert not {name.split(".")[0] for name in loaded} & HEAVY
    assert "torch" in in_python("import sys, checkerscope; checkerscope.tone; print(*sys.modules)").split()


def test_every_name_is_offered_documented_and_found_again() -> None:
    for name in checkerscope.__all__:
        value = getattr(checkerscope, name)
        assert name in dir(checkerscope)
        assert f"checkerscope.{name}" in (checkerscope.__doc__ or ""), f"{name} has no example"
        assert getattr(checkerscope, name) is value
        assert name == "__version__" or value.__name__ == name


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tones'; it offers Upsampler, __version__, audit"):
        checkerscope.tones  # noqa: B018


def test_the_version_is_written_in_one_place() -> None:
    """setup.cfg's; what cites it says the same."""
    version = next(line for line in (ROOT / "setup.cfg").read_text().splitlines() if line.startswith("version = "))
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {version.split(' = ')[1]}\n" in citation
    assert "project" not in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
