"""The catalogue: the folder is the list, files are read without being run, and broken ones are named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from checkerscope.toolkit import catalog

PACKAGES = (
    "checkerscope.toolkit.upsamplers",
    "checkerscope.toolkit.initializers",
    "checkerscope.toolkit.images",
    "checkerscope.toolkit.networks",
    "checkerscope.toolkit.remedies",
)

MEAN = '''
"""A test component."""
import torch
from torch.nn import functional as F
from checkerscope.toolkit.contracts.upsampler import FixedUpsampler, Context


class Mean(FixedUpsampler):
    """Nearest of the global mean."""

    label = "Global mean"
    source = "Nobody 2024"
    linear = True
    convex = True
    layouts = ("conv",)
    scales = (2, 3)
    dims = tuple([2])
    _private = 3

    def __init__(self, in_channels, out_channels, *, scale=2, spatial_dims=2, strength=1.0, names=()):
        super().__init__(in_channels, out_channels, scale=scale, spatial_dims=spatial_dims)

    def enlarge(self, x, context):
        return F.interpolate(x.mean((2, 3), keepdim=True).expand_as(x), scale_factor=self.scale)


class _Helper:
    label = "not me"
'''


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of its own with a copy of the folder of upsamplers, importable as copied_<n>.upsamplers."""
    package = tmp_path / f"copied_{tmp_path.name.replace('-', '_')}"
    package.mkdir()
    (package / "__init__.py").write_text("")
    shutil.copytree(catalog.folder("checkerscope.toolkit.upsamplers"), package / "upsamplers")
    monkeypatch.syspath_prepend(str(tmp_path))
    return package / "upsamplers"


def dotted(folder: Path) -> str:
    return f"{folder.parent.name}.{folder.name}"


def test_a_dropped_file_is_a_component(copied: Path) -> None:
    before = catalog.names("checkerscope.toolkit.upsamplers")
    assert catalog.names(dotted(copied)) == before
    (copied / "mean.py").write_text(MEAN)
    assert catalog.names(dotted(copied)) == tuple(sorted((*before, "mean")))
    found = {c.name: c for c in catalog.describe(dotted(copied))}["mean"]
    assert (found.label, found.source, found.broken) == ("Global mean", "Nobody 2024", "")
    assert found.flags == {"linear": True, "convex": True, "layouts": ("conv",), "scales": (2, 3)}  # dims: no literal
    assert found.options == ("strength", "names")
    assert found.path == copied / "mean.py"
    mean = catalog.load(dotted(copied), "mean")
    assert mean.__name__ == "Mean"
    import torch

    assert mean(1, 1)(torch.ones(1, 1, 2, 2)).shape == (1, 1, 4, 4)
    assert "mean" not in catalog.names("checkerscope.toolkit.upsamplers")


def test_a_changed_file_is_read_again(copied: Path) -> None:
    path = copied / "mean.py"
    path.write_text(MEAN)
    assert catalog.describe_one(dotted(copied), "mean").label == "Global mean"
    path.write_text(MEAN.replace("Global mean", "Another label"))
    assert catalog.describe_one(dotted(copied), "mean").label == "Another label"
    path.unlink()
    with pytest.raises(catalog.UnknownName, match=r"upsamplers: there is no 'mean'"):
        catalog.describe_one(dotted(copied), "mean")


@pytest.mark.parametrize("text", [b"class Mean(:\n", b"label = '\xff'\n", b"\x00"])
def test_broken_files_are_listed_as_broken(copied: Path, text: bytes) -> None:
    (copied / "mean.py").write_bytes(text)
    found = {c.name: c for c in catalog.describe(dotted(copied))}
    assert found["mean"].broken.split(":")[0] in ("SyntaxError", "UnicodeDecodeError", "ValueError")
    assert (found["mean"].label, found["mean"].source) == ("mean", "")
    assert not found["nearest"].broken


def test_reading_a_file_does_not_run_it(copied: Path) -> None:
    (copied / "mean.py").write_text("label = 'Never run'\nraise SystemExit(3)\n")
    assert catalog.describe_one(dotted(copied), "mean").label == "Never run"


@pytest.mark.parametrize(
    ("text", "got"), [("x = 1\n", "none"), ("class A: pass\nclass B: pass\n", "A, B"), ("class _A: pass\n", "none")]
)
def test_a_file_of_a_class_package_has_one_public_class(copied: Path, text: str, got: str) -> None:
    (copied / "mean.py").write_text(text)
    with pytest.raises(ValueError, match=rf"mean.py: expected exactly one public class, got {got}; prefix helpers"):
        catalog.load(dotted(copied), "mean")


@pytest.mark.parametrize("name", ["_private.py", "Upper.py", "with-dash.py", "two.dots.py", "notes.txt", "é.py"])
def test_other_files_are_no_components(copied: Path, name: str) -> None:
    before = catalog.names(dotted(copied))
    (copied / name).write_text(MEAN)
    assert catalog.names(dotted(copied)) == before


def test_files_of_a_shelf_are_components_under_their_own_names(copied: Path) -> None:
    shelf = copied / "means"
    shelf.mkdir()
    (shelf / "mean.py").write_text(MEAN)
    assert "mean" not in catalog.names(dotted(copied)), "a folder is no shelf unless it says so"
    (shelf / "__init__.py").write_text('"""Means."""\n\nSHELF = True\n')
    assert catalog.names(dotted(copied)) == tuple(sorted((*catalog.names("checkerscope.toolkit.upsamplers"), "mean")))
    found = catalog.describe_one(dotted(copied), "mean")
    assert (found.label, found.path) == ("Global mean", shelf / "mean.py")
    assert catalog.module_name(dotted(copied), "mean") == f"{dotted(copied)}.means.mean"
    assert catalog.load(dotted(copied), "mean").__module__ == f"{dotted(copied)}.means.mean"


def test_a_catalogue_inside_a_catalogue_is_no_shelf() -> None:
    assert catalog.shelves("checkerscope.analysis.measures") == ()
    assert "npr" not in catalog.names("checkerscope.analysis.measures")


def test_a_name_on_two_shelves_is_refused(copied: Path) -> None:
    for name in ("left", "right"):
        (copied / name).mkdir()
        (copied / name / "__init__.py").write_text("SHELF = True\n")
        (copied / name / "mean.py").write_text(MEAN)
    for ask in (lambda: catalog.names(dotted(copied)), lambda: catalog.find(dotted(copied), "mean")):
        with pytest.raises(ValueError, match=r"upsamplers: .* one file of a name, got left/mean.py and right/mean.py"):
            ask()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_component_describes_itself_and_loads(package: str) -> None:
    for component in catalog.describe(package):
        assert not component.broken
        assert component.label
        assert catalog.load(package, component.name) is not None


def test_listing_needs_no_torch() -> None:
    code = (
        "import sys; from checkerscope.toolkit import catalog\n"
        f"for package in {PACKAGES!r}: assert catalog.describe(package) is not None\n"
        "assert not {'torch', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules), 'heavy import'"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)


def test_unknown_names_list_the_known_and_the_nearest() -> None:
    with pytest.raises(catalog.UnknownName, match=r"there is no 'neerest'; did you mean 'nearest'\? known: .*bilinear"):
        catalog.load("checkerscope.toolkit.upsamplers", "neerest")
    with pytest.raises(catalog.UnknownName, match=r"there is no 'zzzzzz'; known: bicubic, bilinear"):
        catalog.find("checkerscope.toolkit.upsamplers", "zzzzzz")


@pytest.mark.parametrize("name", ["../checks", "_reassembly", "__init__", "", "a/b", "nearest.py", "x" * 300, "a\0b"])
def test_odd_names_reach_no_file(name: str) -> None:
    with pytest.raises(catalog.UnknownName, match="upsamplers: there is no"):
        catalog.find("checkerscope.toolkit.upsamplers", name)


@pytest.mark.parametrize("package", ["checkerscope.toolkit.nowhere", "nowhere.at.all", "checkerscope.toolkit.checks"])
def test_unknown_packages_are_refused(package: str) -> None:
    with pytest.raises(ValueError, match=rf"catalog: expected a package with a folder of components, got '{package}'"):
        catalog.names(package)


def test_closest() -> None:
    assert catalog.closest("icrn", ["icnr", "default"]) == "did you mean 'icnr'? known: default, icnr"
    assert catalog.closest("x", []) == "known: none"


def test_options_leave_the_contract_out() -> None:
    options = catalog.describe_one("checkerscope.toolkit.upsamplers", "transposed_conv").options
    assert options == ("kernel_size", "dilation", "groups", "bias")
    assert catalog.describe_one("checkerscope.toolkit.initializers", "constant").options == ("value",)
