"""Options against annotations: of every component, and of files that somebody drops in."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from checkerscope.toolkit import catalog, options

PACKAGES = [f"checkerscope.toolkit.{kind}" for kind in ("upsamplers", "initializers", "images", "networks", "remedies")]
FITTING: list[tuple[str, Any]] = [
    *(("bool", True), ("int", -3), ("float", 2), ("float", 0.5), ("str", "no"), ("int | None", None), ("None", None)),
    *(("Optional[int]", 3), ("typing.Union[int, str]", "a"), ("'int'", 3), ("Literal['a', 'b']", "b"), ("Any", "x")),
    *(("list[int]", [1, 2]), ("tuple[int, ...]", [1, 2]), ("tuple[int, float]", [1, 2.0]), ("Sequence[str]", ["a"])),
    *(
        ("Annotated[int, range(1, 9)]", 8),
        ("Annotated[float, (0.0, 1.0)]", 1.0),
        ("list", []),
        ("Callable[[], int]", 3),
    ),
    *(("Annotated[int | None, range(1, 9)]", None), ("", "anything")),
]
WRONG: list[tuple[str, Any, str]] = [
    ("bool", "no", "true or false, got 'no'; write true or false without quotes"),
    ("bool", 1, "true or false, got 1"),
    ("bool | None", "false", "true or false, got 'false'; write true or false without quotes"),
    ("int", True, "an integer, got True"),
    ("int", 1.0, "an integer, got 1.0"),
    ("int | None", "4", "an integer, got '4'"),
    ("float", "0.5", "a number, got '0.5'"),
    ("str", 3, "text, got 3"),
    ("list[int]", [1, "a"], "a list of integers, got [1, 'a']"),
    ("list[int]", 3, "a list of integers, got 3"),
    ("tuple[int, int]", [1], "a list of integers, got [1]"),
    ("Literal['a', 'b']", "c", "one of 'a', 'b', got 'c'"),
    ("Literal[1, 2]", True, "one of 1, 2, got True"),
    ("Annotated[int, range(1, 9)]", 9, "an integer from 1 to 8, got 9"),
    ("Annotated[float, (0.0, 1.0)]", -0.5, "a number from 0.0 to 1.0, got -0.5"),
    ("Tensor | None", "x", "Tensor, got 'x'"),
]


def component(annotation: str) -> catalog.Component:
    return catalog.Component("one", "One", "", options=("key",), types={"key": annotation})


@pytest.mark.parametrize(("annotation", "value"), FITTING)
def test_what_fits_passes(annotation: str, value: Any) -> None:
    options.check(component(annotation), {"key": value})


@pytest.mark.parametrize(("annotation", "value", "message"), WRONG)
def test_what_does_not_fit_is_refused_in_one_line(annotation: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"\Aone: key: expected ") as caught:
        options.check(component(annotation), {"key": value})
    assert str(caught.value) == f"one: key: expected {message}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_components_own_defaults_fit_and_every_option_has_a_type(package: str) -> None:
    for found in catalog.describe(package):
        assert set(found.types) == set(found.options)
        body = ast.walk(ast.parse(found.path.read_text(encoding="utf-8")))
        for function in (node for node in body if isinstance(node, ast.FunctionDef)):
            for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
                is_option = found.types.get(argument.arg) == ast.unparse(argument.annotation or ast.Constant(""))
                if is_option and isinstance(default, ast.Constant):
                    options.check(found, {argument.arg: default.value})


@pytest.mark.parametrize("package", PACKAGES)
def test_a_switch_takes_no_text_in_any_kind_of_component(package: str) -> None:
    for found in catalog.describe(package):
        for key, kind in found.types.items():
            for text in ("no", "false", "False") if kind == "bool" else ():
                with pytest.raises(ValueError, match=f"{found.name}: {key}: expected true or false, got '{text}'"):
                    options.check(found, {key: text})


DROPPED = """
from somewhere import that_is_missing
def load(split, size, *, seed, shape: "Literal['square', 'disc']" = "disc", sharp=False, gain=1, name="a", other=None):
    ...
"""


def test_a_dropped_in_file_is_read_and_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "__init__.py").write_text('ENTRY = "load"\n')
    (tmp_path / "dropped.py").write_text(DROPPED)
    monkeypatch.setattr(catalog, "folder", lambda package: tmp_path)
    found = catalog.describe_one("somebodys.images", "dropped")
    assert list(found.types) == ["shape", "sharp", "gain", "name", "other"]
    options.check(found, {"shape": "disc", "sharp": True, "gain": 2, "name": "b", "other": [1]})
    for key, value in {"shape": "round", "sharp": "no", "gain": "much", "name": 1}.items():
        with pytest.raises(ValueError, match=f"dropped: {key}: expected"):
            options.check(found, {key: value})
