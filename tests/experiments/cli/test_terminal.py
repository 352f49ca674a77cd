"""Tables in a terminal: nothing that one would copy is split, at any width."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from checkerscope.experiments.__main__ import run
from checkerscope.experiments.cli.terminal import columns, say
from checkerscope.toolkit import catalog

KINDS = [
    "checkerscope.toolkit.upsamplers",
    "checkerscope.toolkit.initializers",
    "checkerscope.analysis.measures",
    "checkerscope.experiments.claims",
]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("package", KINDS)
def test_no_word_is_split_and_eighty_columns_are_enough(package: str, width: int) -> None:
    rows = [{"name": c.name, "label": c.label, "source": c.source} for c in catalog.describe(package)]
    shown = columns(rows, width=width)
    words = shown.split()
    for row in rows:
        for word in (row["name"], *row["source"].split()):
            assert word in words
    if width >= 80:
        assert max(map(len, shown.splitlines())) <= width


def test_a_narrow_last_column_moves_to_lines_of_its_own() -> None:
    rows = [{"name": "a" * 30, "source": "one two three four five six seven"}]
    assert columns(rows, width=80).splitlines()[1] == "a" * 30 + "  one two three four five six seven"
    assert columns(rows, width=50).splitlines() == [
        "name", "    source", "a" * 30, "    one two three four five six seven",
    ]  # fmt: skip


def test_where_not_even_the_first_columns_fit_every_column_has_its_line() -> None:
    rows = [{"name": "a" * 30, "label": "b" * 30, "source": "c d"}]
    assert columns(rows, width=50).splitlines()[3:] == ["a" * 30, "    " + "b" * 30, "    c d"]


def test_short_tables_stay_aligned_and_empty_ones_say_so() -> None:
    assert columns([{"arm": "x", "tone": "1"}, {"arm": "long", "tone": "22"}], width=40).splitlines() == [
        "arm   tone", "x     1", "long  22",
    ]  # fmt: skip
    assert columns([{"arm": "a"}]) == "arm\na"
    assert columns([]) == "nothing"


def test_text_cannot_move_the_cursor() -> None:
    assert "\x1b" not in columns([{"name": "a\x1b[2J", "label": "b\r\nc"}], width=80)


def test_the_one_place_that_prints_makes_every_line_printable(capsys: pytest.CaptureFixture[str]) -> None:
    for err in (False, True):
        say("a\x1b[2Jb\x07\r\nc\u202e\ud800d", err=err)
    shown = capsys.readouterr()
    assert shown.out == shown.err == "a\\x1b[2Jb\\x07\\r\nc\\u202e\\ud800d\n"


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[3] / "experiments").rglob("*.py")), ids=lambda p: p.name
)
def test_nothing_else_prints(path: Path) -> None:
    """But for the message that a signal ends the program, and what `__main__` says of an error."""
    if path.name in ("terminal.py", "__main__.py"):
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in (
                "click.echo",
                "click.secho",
                "print",
                "tqdm.write",
                "sys.stdout.write",
            )


EVIL = "\x1b]0;owned\x07\x1b[2J"


@pytest.mark.parametrize("command", ["status", "run", "measure", "collect", "verify"])
def test_names_of_files_reach_no_terminal_as_they_are(
    command: str, tiny: Path, results: Path, checkerscope: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = min((results / "tiny" / "runs").iterdir())
    (folder / f"x{EVIL}").touch()
    (results / "tiny" / f"x{EVIL}").touch()
    capsys.readouterr()
    if command == "verify":
        assert run(["verify", str(results)]) == 1
    else:
        assert checkerscope(command, tiny) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "\x07" not in shown.out + shown.err
    if command in ("status", "run", "collect", "verify"):
        assert "\\x1b]0;owned\\x07" in shown.out + shown.err
