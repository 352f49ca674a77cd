"""The command line as a user meets it: quick to answer, one exit code per outcome, readable on every terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from checkerscope.experiments.__main__ import run
from checkerscope.experiments.cli import root
from checkerscope.toolkit import catalog

PROJECT = Path(__file__).resolve().parents[3]
SMOKE = str(PROJECT / "configs" / "smoke.toml")


def checkerscope(*arguments: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own, with `shell` redirections behind it."""
    return subprocess.run(
        in_bash(f'exec "$@" {shell}', *arguments),
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
    )


def in_bash(line: str, *arguments: str) -> list[str]:
    """Return a shell's words for a line in which "$@" is the command line, whatever is in the interpreter's path."""
    return ["bash", "-c", line, "bash", sys.executable, "-m", "checkerscope", *arguments]


# answers at once


@pytest.mark.parametrize("arguments", [("--help",), ("list", "upsamplers", "--json"), ("run", "--help"), ("list",)])
def test_answers_without_importing_torch(arguments: tuple[str, ...]) -> None:
    heavy = "{'torch', 'numpy', 'pandas', 'matplotlib', 'tqdm', 'pydantic'}"
    program = (
        f"import sys; from checkerscope.experiments.__main__ import run; code = run({list(arguments)!r})\n"
        f"print({heavy} & set(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "set()"


# list


def test_list_names_every_kind_and_component(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "--json"]) == 0
    kinds = {row["kind"]: row["components"] for row in json.loads(capsys.readouterr().out)}
    assert kinds.keys() == {*root.KINDS, "configs"}
    for kind, package in root.KINDS.items():
        assert run(["list", kind, "--json"]) == 0
        listed = [row["name"] for row in json.loads(capsys.readouterr().out)]
        assert tuple(listed) == catalog.names(package)
        assert kinds[kind] == len(listed)
        assert run(["list", kind]) == 0
        shown = capsys.readouterr().out
        assert set(listed) <= set(shown.split())


def test_list_gives_labels_sources_flags_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "upsamplers", "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}["transposed_conv"]
    assert found["label"] == "Transposed conv"
    assert found["source"]
    assert "kernel_size" in found["options"]
    assert found["flags"]["linear"] is True
    assert found["broken"] == ""


def test_list_shows_a_file_that_cannot_be_read_as_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "with_a_broken_file"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "good.py").write_text("LABEL = 'Good'\n")
    (folder / "typo.py").write_text("LABEL = 'Typo'\ndef measure(:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(root.KINDS, "measures", folder.name)
    assert run(["list", "measures"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "good Good" in shown
    assert "typo (skipped) SyntaxError: " in shown
    assert "(typo.py, line 2)" in shown


# exit codes and messages


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["lst"], 2, "no command 'lst'; did you mean 'list'"),
        (["run"], 2, "Missing argument 'CONFIG'"),
        (["run", "nope.toml"], 2, "error: nope.toml: no such config; "),
        (["study", "qick"], 2, "error: qick: no such config; did you mean 'quick'?"),
        (["run", str(PROJECT)], 2, "is a directory"),
        (["run", SMOKE, "--bogus"], 2, "No such option"),
        (["run", SMOKE, "--workers", "many"], 2, "'many' is not a valid integer"),
        (["list", "upsamplerz"], 2, "'upsamplerz' is not one of"),
        (["run", SMOKE, "--results", "{file}"], 2, "file/smoke: not writable (Not a directory); choose another folder"),
        (["run", SMOKE, "--results", "{file}/x"], 2, "not writable (Not a directory)"),
        (["run", SMOKE, "--results", "/proc/x"], 2, "/proc/x/smoke: not writable"),
        (["run", SMOKE, "--device", "cuda:9"], 2, "device: cuda:9 is not available (torch"),
        (["run", SMOKE, "--device", "gpu"], 2, "device: expected auto, cpu, cuda or cuda:N, got 'gpu'"),
        (["run", SMOKE, "--device", "mps"], 2, "device: expected auto, cpu, cuda or cuda:N, got 'mps'"),
        (["run", SMOKE, "--set", "images.size=10"], 2, "measure.margin: expected less than half of images.size = 10"),
        (["run", SMOKE, "--set", "images.size=34"], 2, "Nearest + conv: autoencoder: input: expected sides"),
        (["run", SMOKE, "--set", "images.size=4096"], 2, "Nearest + conv: photos: size: expected photographs of at le"),
        (["run", SMOKE, "--set", "images.source={name='folder',path='{empty}'}"], 2, "at least one image in the train"),
        (["run", SMOKE, "--set", "images.source={name='folder',path='{text}'}"], 2, "a.png: not a readable PNG"),
        (["run", SMOKE, "--set", "network.width='8'"], 2, "network: autoencoder: width: expected an integer, got '8'"),
        (["collect", SMOKE, "--results", "{empty}"], 1, "empty/smoke: no finished run to collect; start with"),
        (["paper", SMOKE, "--results", "{empty}"], 2, "0 done, 4 missing of 4 runs, and no published"),
        (["paper", SMOKE, "--output", ""], 2, "--output: expected a name, got an empty one"),
        (
            ["paper", SMOKE, "--output", "/dev/null"],
            2,
            "--output: expected a folder or a new name, got /dev/null",
        ),
        (["study", SMOKE, "--output", "{pipe}"], 2, "pipe; choose another name"),
        (["study", SMOKE, "--output", "{file}/a.pdf"], 2, "file; choose another name"),
        (["study", SMOKE, "--output", "{file}"], 2, "file; choose another name"),
        (
            ["study", SMOKE, "--output", "experiments/x"],
            2,
            "experiments/x: inside the program itself; choose another folder",
        ),
        (["metric-audit", "--results", "{file}"], 2, "not writable (Not a directory); choose another"),
        (["study", SMOKE, "--output", "/proc/x/a.pdf"], 2, "--output: /proc: not writable"),
        (["audit", "no:model", "--input", "1,3,8,8", "--picture", "{pipe}"], 2, "pipe; choose another name"),
        (["cure", "no:model", "--remedy", "fold", "--output", "{pipe}"], 2, "pipe; choose another name"),
        (["geometry", "overlap", "3x2", "--output", "/dev/null"], 2, "got /dev/null; choose another name"),
        (["measure", SMOKE, "--results", "{empty}"], 2, "empty/smoke: no finished run to measure; start with: checker"),
        (["measure", SMOKE, "--results", "{file}"], 2, "file/smoke: no finished run to measure; start with: checker"),
        (["measure", SMOKE, "--results", "{loop}"], 2, "loop/smoke: no finished run to measure; start with: checker"),
        (
            ["slurm-script", SMOKE, "--jobs", "2", "--results", "{loop}"],
            2,
            "loop: expected a folder, got a circle of lin",
        ),
        (
            ["slurm-script", SMOKE, "--jobs", "2", "--results", "{file}"],
            2,
            "file: expected a folder or a new name, got a file",
        ),
        (["verify", "{empty}/gone"], 2, "does not exist"),
        (["verify", "{empty}"], 1, "empty: no study here"),
    ],
)
def test_bad_input_ends_in_one_line(
    arguments: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {f"{{{name}}}": tmp_path / name for name in ("file", "empty", "text", "pipe", "loop")}
    places["{file}"].write_text("")
    places["{empty}"].mkdir()
    places["{text}"].mkdir()
    (places["{text}"] / "a.png").write_text("no picture")
    os.mkfifo(places["{pipe}"])
    places["{loop}"].symlink_to(places["{loop}"])
    if "--results" not in arguments and arguments[:1] == ["run"]:
        arguments = [*arguments, "--results", str(tmp_path / "results")]
    for name, place in places.items():
        arguments = [argument.replace(name, str(place)) for argument in arguments]
    assert run(arguments) == code
    shown = "".join(capsys.readouterr())
    assert message in " ".join(shown.split())
    assert "Traceback" not in shown
    assert not list(tmp_path.rglob("run.json"))
    assert places["{pipe}"].is_fifo()


def test_status_of_a_study_that_was_never_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", SMOKE, "--results", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "smoke: 0 done, 4 missing of 4 runs\n"
    assert not list(tmp_path.iterdir())
    assert run(["status", SMOKE, "--results", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == 4


# terminals and streams


@pytest.mark.parametrize(
    "environment",
    [
        {"NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252:strict"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"COLUMNS": "40"},
    ],
    ids=str,
)
def test_every_terminal_can_read_it(environment: dict[str, str]) -> None:
    done = checkerscope("list", "upsamplers", **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout
    assert done.stdout.decode("ascii" if "COLUMNS" not in environment else "utf-8").startswith("name")


@pytest.mark.parametrize(
    ("shell", "code", "message"),
    [
        ("| head -c 1; exit ${PIPESTATUS[0]}", 0, b""),
        ("| true; exit ${PIPESTATUS[0]}", 0, b""),
        (">/dev/full", 1, b"error: system: No space left on device\n"),
        (">&-", 0, b""),
        (">&- 2>&-", 0, b""),
        ("<&- >&- 2>&-", 0, b""),
    ],
)
def test_output_that_nobody_takes(shell: str, code: int, message: bytes) -> None:
    if "PIPESTATUS" in shell:
        words = in_bash(f'"$@" {shell}', "list", "upsamplers", "--json")
        done = subprocess.run(words, cwd=PROJECT, capture_output=True, timeout=60)
    else:
        done = checkerscope("list", "upsamplers", "--json", shell=shell)
    assert (done.returncode, done.stderr) == (code, message)


def test_a_closed_stream_never_becomes_a_result_file(tmp_path: Path) -> None:
    """With number 2 free, the next file opened would be standard error, and get whatever a library prints there."""
    done = checkerscope("run", SMOKE, "--results", str(tmp_path), "--set", "train.steps=many", shell="2>&- >&-")
    assert done.returncode == 2


def test_names_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "a\x1b[2Jb\rc.toml"]) == 2
    err = capsys.readouterr().err
    assert "a\\x1b[2Jb\\rc.toml" in err
    assert "\x1b" not in err


def test_json_is_one_document(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    commands: list[list[str]] = [
        ["list", "--json"],
        ["run", SMOKE, "--dry-run", "--json"],
        ["status", SMOKE, "--json", "--results", str(tmp_path)],
        ["verify", str(tmp_path), "--json"],
    ]
    for arguments in commands:
        assert run(arguments) in (0, 1)
        document: Any = json.loads(capsys.readouterr().out)
        assert document
