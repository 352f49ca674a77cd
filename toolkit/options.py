"""Checks options of components against the annotations in their files, without importing them.

An annotation is read as text: `bool`, `int`, `float`, `str`, `list[int]` (also `tuple` and `Sequence`), `None` and
unions of them, `Literal["a", "b"]`, and ranges: `Annotated[int, range(1, 9)]` is 1 to 8, `Annotated[float, (0.0, 1.0)]`
has both ends in it. An option without annotation is of its default's kind; what is none of these may be anything.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from typing import Any

from checkerscope.toolkit import catalog
from checkerscope.toolkit.catalog import Component

NUMBERS = {"bool": "true or false", "int": "an integer", "float": "a number", "str": "text", "None": "nothing"}
LISTS = ("list", "tuple", "Sequence", "Iterable", "List", "Tuple")


def check(component: Component, given: Mapping[str, Any]) -> None:
    """Check the options that a component is given.

    Raises:
        ValueError: If it has no such option, or one is of another type or outside its range.

    >>> check(catalog.describe_one("checkerscope.toolkit.upsamplers", "nearest_conv"), {"bias": "no"})
    Traceback (most recent call last):
    ValueError: nearest_conv: bias: expected true or false, got 'no'; write true or false without quotes
    """
    for key, value in given.items():
        if key not in component.options:
            raise ValueError(f"{component.name} has no option {key!r}; {catalog.closest(key, component.options)}")
        kind = _parsed(component.types.get(key) or "Any")
        if not fits(value, kind):
            quoted = isinstance(value, str) and expected(kind) == NUMBERS["bool"]
            hint = "; write true or false without quotes" if quoted else ""
            raise ValueError(f"{component.name}: {key}: expected {expected(kind)}, got {str(repr(value))[:40]}{hint}")


def fits(value: Any, kind: ast.expr) -> bool:
    """Return whether a value is of an annotated kind.

    >>> fits([1, 2], ast.parse("list[int] | None", mode="eval").body)
    True
    """
    match kind:
        case ast.Constant(value=str(text)):  # a quoted annotation
            return fits(value, _parsed(text))
        case ast.Constant(value=None):
            return value is None
        case ast.BinOp(left=left, right=right):
            return fits(value, left) or fits(value, right)
        case ast.Subscript():
            return _fits_parts(value, _name(kind.value), _parts(kind))
        case _:
            return _is_a(value, _name(kind))


def expected(kind: ast.expr) -> str:
    """Return what an annotation asks for, in words.

    >>> expected(ast.parse("Annotated[int, range(1, 9)] | None", mode="eval").body)
    'an integer from 1 to 8'
    """
    match kind:
        case ast.Constant(value=str(text)):
            return expected(_parsed(text))
        case ast.BinOp(left=left, right=right):
            words = [expected(side) for side in (left, right) if not _is_none(side)]
            return " or ".join(words) or NUMBERS["None"]
        case ast.Subscript():
            return _expected_parts(_name(kind.value), _parts(kind))
        case _:
            return NUMBERS.get(_name(kind), _name(kind))


@functools.lru_cache(maxsize=1024)  # a grid asks for the same few once per run
def _parsed(annotation: str) -> ast.expr:
    return ast.parse(annotation, mode="eval").body


def _fits_parts(value: Any, name: str, parts: list[ast.expr]) -> bool:
    if name == "Literal":
        return any(type(value) is type(allowed) and value == allowed for allowed in map(ast.literal_eval, parts))
    if name == "Annotated":
        bounds = _bounds(parts)
        return fits(value, parts[0]) and (bounds is None or value is None or bounds[0] <= value <= bounds[1])
    if name in ("Optional", "Union"):
        return (name == "Optional" and value is None) or any(fits(value, part) for part in parts)
    if name not in LISTS:
        return True
    if not isinstance(value, list | tuple):
        return False
    if name.lower() == "tuple" and not isinstance(parts[-1], ast.Constant):  # of a fixed length: no `...`
        return len(value) == len(parts) and all(map(fits, value, parts))
    return all(fits(item, parts[0]) for item in value)


def _expected_parts(name: str, parts: list[ast.expr]) -> str:
    if name == "Literal":
        return "one of " + ", ".join(repr(ast.literal_eval(part)) for part in parts)
    if name == "Annotated":
        bounds = _bounds(parts)
        return expected(parts[0]) + ("" if bounds is None else f" from {bounds[0]} to {bounds[1]}")
    if name in ("Optional", "Union"):
        return " or ".join(expected(part) for part in parts if not _is_none(part))
    return f"a list of {expected(parts[0]).removeprefix('an ').removeprefix('a ')}s" if name in LISTS else name


def _bounds(parts: list[ast.expr]) -> tuple[float, float] | None:
    """Return the lowest and the highest value that the second argument of `Annotated` allows, if it is a range."""
    match parts[1]:
        case ast.Call(func=ast.Name(id="range"), args=[low, high]):
            return ast.literal_eval(low), ast.literal_eval(high) - 1
        case ast.Tuple(elts=[low, high]):
            return ast.literal_eval(low), ast.literal_eval(high)
    return None


def _is_a(value: Any, name: str) -> bool:
    match name:
        case "bool":
            return isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "str":
            return isinstance(value, str)
        case "Tensor":
            return any(base.__name__ == name for base in type(value).__mro__)
    return not (name in LISTS and not isinstance(value, list | tuple))


def _name(node: ast.expr) -> str:
    """Return the last part of a dotted name, `None` for the constant."""
    return ast.unparse(node).rpartition(".")[2]


def _parts(node: ast.Subscript) -> list[ast.expr]:
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
