"""`checkerscope geometry`: answers, JSON, and refusals with exit code 2."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from checkerscope.experiments import __main__ as command_line
from checkerscope.experiments.cli.geometry import geometry

MODELS = """
import sys
from torch import nn

def good():
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ConvTranspose2d(4, 3, 4, 2, 1))

bad = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ConvTranspose2d(4, 3, 3, 2, 1))
number = 3

def leaves():
    sys.exit(0)
"""


def run(*args: str) -> str:
    result = CliRunner().invoke(geometry, args)
    assert result.exit_code == 0, result.output
    return result.output


def document(*args: str) -> object:
    return json.loads(run(*args, "--json"))


def test_size() -> None:
    text = run("size", "4", "-k", "3", "-s", "2", "-p", "1")
    assert "(4 - 1) * 2 - 2 * 1 + 1 * (3 - 1) + 0 + 1 = 7" in text
    assert "uneven: 3 is no multiple of 2" in text
    assert document("size", "4", "-k", "4", "-s", "2", "-p", "1")["output"] == 8


def test_solve() -> None:
    found = document("solve", "16", "32", "--limit", "3")
    assert [(c["kernel_size"], c["stride"], c["padding"], c["exact"]) for c in found] == [
        (2, 2, 0, True),
        (4, 2, 1, True),
        (6, 2, 2, True),
    ]
    assert {c["checkerboard_prone"] for c in found} == {False}
    assert "even: 2 is a multiple of 2" in run("solve", "16", "32").replace("\n", " ").replace("  ", "")
    assert "more; --limit" in run("solve", "16", "--scale", "2", "--limit", "1")


def test_overlap(tmp_path: Path) -> None:
    found = document("overlap", "3x2", "3x2")
    assert found["period"] == [3, 2, 3, 1]
    assert found["largest_over_smallest"] == {"1d": 3, "2d": 9, "3d": 27}
    assert document("overlap", "2x3")["largest_over_smallest"]["1d"] is None
    assert run("overlap", "3x2", "-n", "3").splitlines()[0] == "2 |  # #"
    for dims in ("1", "2"):
        run("overlap", "3x2", "--dims", dims, "--gradient", "--output", str(tmp_path / f"{dims}.png"))
        assert (tmp_path / f"{dims}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "short"),
    [
        ("-k 3 -s 2", "3x2"),
        ("-k 3 -s 2 -k 4 -s 2", "3x2 4x2"),
        ("-k 3 -k 4 -s 2", "3x2 4x2"),
        ("--kernel-size 5 --stride 3 -k 4 -s 2", "5x3 4x2"),
        ("-k 3", "3x1"),
    ],
)
def test_overlap_speaks_as_size_does(options: str, short: str) -> None:
    assert document("overlap", *options.split()) == document("overlap", *short.split())


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_models", raising=False)


@pytest.mark.usefixtures("models")
def test_trace() -> None:
    assert "all sizes fit; the result is 1x3x16x16" in run("trace", "my_models:good", "--input", "1,3,16,16")
    arguments = ["trace", "my_models:bad", "--input", "1x3x16x16", "--target", "16x16"]
    result = CliRunner().invoke(geometry, arguments, standalone_mode=False)
    assert result.return_value == 1
    assert "first wrong size: 1 gives 15x15, 16x16 was needed" in result.output
    found = document(*arguments)
    assert (found["first_wrong"], found["rows"][1]["needed"]) == (1, [16.0, 16.0])


REFUSED = [
    ("size 16", "Missing option '-k'"),
    ("size 0 -k 3", "0 is not in the range"),
    ("size 16 -k 3 --output-padding 1", "output_padding: expected less than stride or dilation (1), got 1"),
    ("size 2 -k 3 -p 9", "output size: expected at least 1, got -14"),
    ("solve 16", "request: expected an output size or a scale, got neither"),
    ("solve 16 32 --scale 2", "got both"),
    ("solve 16 8", "output size: expected at least the input size, 16, got 8"),
    ("solve 16 --scale 1.5", "'1.5' is not a valid integer"),
    ("solve 100 150", "nearest: 108 or 191"),
    ("solve 16 99 -k 3 -s 2", "kernel 3 and stride 2 can make of 16, got 99; nearest: 34"),
    ("overlap", "layers: expected one or more, such as -k 4 -s 2 or 4x2, got none"),
    ("overlap -s 2", "layers: expected one or more"),
    ("overlap 3x2 -k 4", "layers: expected KxS or -k and -s, got both"),
    ("overlap -k 3 -k 4 -k 5 -s 2 -s 2", "expected -s once per -k (3 times) or once for all layers, got it 2 times"),
    ("overlap -k 0", "0 is not in the range"),
    ("overlap 4", "layer: expected kernel x stride, such as 4x2, got '4'"),
    ("overlap 4x0", "stride: expected an integer from 1, got 0"),
    ("overlap 3x2 --output nowhere.xyz", "--output: expected a name that ends in .png, .pdf, .svg, got nowhere.xyz"),
    ("overlap 3x2 --output /proc/folder.png", "--output: /proc: not writable"),
    ("trace my_models", "factory: expected MODULE:FACTORY, got 'my_models'"),
    ("trace nothing_here:x", "nothing_here:x: ModuleNotFoundError"),
    ("trace my_models:nothing", "my_models:nothing: AttributeError"),
    ("trace my_models:number", "my_models:number: TypeError"),
    ("trace my_models:leaves", "my_models:leaves: SystemExit: 0"),
    ("trace builtins:int", "builtins:int: expected an nn.Module, got int"),
    ("trace my_models:good --input 1x3x-4", "expected batch, channels and sides such as 1,3,64,64, got '1x3x-4'"),
    ("trace my_models:good --input 1x1000000x1000000x1000000", "--input: expected at most 2147483648 numbers"),
    ("trace my_models:good --target 1x", "--target: expected sides such as 64,64, got '1x'"),
    ("trace my_models:good --target 16", "target: expected 2 lengths, got (16,)"),
]


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_bad_requests_end_with_exit_code_2(arguments: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run(["geometry", *arguments.split()]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, checkerscope.experiments.cli.geometry; print({'torch', 'numpy', 'matplotlib'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_every_option_has_help() -> None:
    for command in geometry.commands.values():
        assert command.help
        for option in (p for p in command.params if isinstance(p, click.Option)):
            assert option.help, f"{command.name} {option.name}"
