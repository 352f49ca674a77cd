"""The catalogue is the folder: a file's name is the component's name.

Nothing is registered anywhere. `names` lists the files of a package, `describe` reads their labels from the syntax
tree without importing them, and `load` imports the one that is asked for.

A large folder may keep its files on shelves: direct subfolders whose `__init__.py` says `SHELF = True`. A component is
known by its file's name alone, whatever shelf it lies on.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
#: Names up to this many are listed in a message.
MOST_NAMES = 40


class UnknownName(ValueError):
    """A component was asked for that no file of the folder provides."""


@dataclass(frozen=True)
class Component:
    """What a file says of itself, read without running it.

    Attributes:
        name: File name without `.py`.
        label: Short name for tables and figures; the file name where the file gives none.
        source: Author, year and reference of the definition; empty where the file gives none.
        flags: Every other literal that the component declares, under its name in lower case.
        options: Keyword-only arguments of its constructor or entry function, without those of the contract.
        path: The file.
        broken: Why the file could not be read; empty when it could.
        types: Annotation of every option that has one, as it is written; else the type of a literal default.
    """

    name: str
    label: str
    source: str
    flags: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    path: Path = Path()
    broken: str = ""
    types: dict[str, str] = field(default_factory=dict)


@functools.lru_cache(maxsize=64)  # a grid asks for the same few folders and files once per run
def folder(package: str) -> Path:
    """Return the folder that holds the components of a dotted package.

    Raises:
        ValueError: If there is no such package.
    """
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"catalog: expected a package with a folder of components, got {package!r}")
    return Path(next(iter(spec.submodule_search_locations)))


def names(package: str) -> tuple[str, ...]:
    """Return the component names of a package, sorted; files that start with `_` are private.

    >>> "nearest" in names("checkerscope.toolkit.upsamplers")
    True
    """
    return tuple(sorted(_files(package)))


def _files(package: str) -> dict[str, Path]:
    """Return the file of every component by name.

    Raises:
        ValueError: If two shelves have a file of the same name.
    """
    found: dict[str, Path] = {}
    for place in (folder(package), *shelves(package)):
        for path in place.glob("*.py"):
            if not NAME.fullmatch(path.stem):
                continue
            if path.stem in found:
                both = " and ".join(p.relative_to(folder(package)).as_posix() for p in (found[path.stem], path))
                raise ValueError(f"{_kind(package)}: expected one file of a name, got {both}; rename one of them")
            found[path.stem] = path
    return found


def shelves(package: str) -> tuple[Path, ...]:
    """Return the subfolders of a package whose files are components of it, sorted.

    >>> [shelf.name for shelf in shelves("checkerscope.experiments.claims")]
    ['article', 'hypotheses', 'landmarks']
    """
    inits = sorted(folder(package).glob("*/__init__.py"))
    return tuple(init.parent for init in inits if _file_literals(init).get("shelf") is True)


def _kind(package: str) -> str:
    return package.rpartition(".")[2].replace("_", " ")


def closest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the nearest known name and lists all of them, or the first ones of very many."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    meant = f"did you mean {near[0]!r}? " if near else ""
    shown = known if len(known) <= MOST_NAMES else [*known[:8], f"... ({len(known)} in all)"]
    return f"{meant}known: {', '.join(shown) if shown else 'none'}"


def find(package: str, name: str) -> Path:
    """Return the file of a component.

    Raises:
        UnknownName: If the folder has no such file; the message lists the known names and the nearest.
    """
    direct = folder(package) / f"{name}.py"
    if NAME.fullmatch(name) and direct.is_file():  # most folders have no shelves, and a grid asks once per run
        return direct
    files = _files(package)
    if name not in files:
        raise UnknownName(f"{_kind(package)}: there is no {name!r}; {closest(name, files)}")
    return files[name]


def module_name(package: str, name: str) -> str:
    """Return the dotted name under which a component is imported, its shelf included.

    >>> module_name("checkerscope.experiments.claims", "h7_level")
    'checkerscope.experiments.claims.hypotheses.h7_level'

    Raises:
        UnknownName: If there is no such file.
    """
    inside = find(package, name).relative_to(folder(package)).with_suffix("")
    return ".".join((package, *inside.parts))


def load(package: str, name: str) -> Any:
    """Return a component: its class, or its module in packages whose components are modules.

    A package declares which by `COMPONENT = "class"` in its `__init__.py`; modules are the default.

    Raises:
        UnknownName: If there is no such file.
        ValueError: If a file that must define one public class defines none or several.
    """
    path = find(package, name)
    module = importlib.import_module(module_name(package, name))
    if _package_literal(package, "COMPONENT", "module") == "module":
        return module
    classes = [
        value
        for key, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and not key.startswith("_")
    ]
    if len(classes) != 1:
        got = ", ".join(c.__name__ for c in classes) or "none"
        raise ValueError(f"{path.name}: expected exactly one public class, got {got}; prefix helpers with '_'")
    return classes[0]


def describe(package: str) -> tuple[Component, ...]:
    """Return what every component of a package says of itself, without importing any of them.

    >>> [c.label for c in describe("checkerscope.toolkit.upsamplers") if c.name == "nearest"]
    ['Nearest']
    """
    return tuple(describe_one(package, name) for name in names(package))


def describe_one(package: str, name: str) -> Component:
    """Return what one component says of itself, without importing it.

    Raises:
        UnknownName: If there is no such file.
    """
    path = find(package, name)
    stamp = path.stat()
    return _read(package, name, path, (stamp.st_mtime_ns, stamp.st_size))


@functools.lru_cache(maxsize=1024)
def _read(package: str, name: str, path: Path, stamp: tuple[int, int]) -> Component:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=path.name)
    except (SyntaxError, ValueError, OSError) as error:  # ValueError: not UTF-8, or a null byte
        return Component(name, name, "", {}, (), path, f"{type(error).__name__}: {error}")
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    literals, scope, entry = _literals(tree.body), tree.body, _package_literal(package, "ENTRY", "measure")
    if len(classes) == 1 and _package_literal(package, "COMPONENT", "module") == "class":
        literals |= _literals(classes[0].body)
        scope, entry = classes[0].body, "__init__"
    label, source = str(literals.pop("label", name)), str(literals.pop("source", ""))
    types = _keywords(scope, entry)
    return Component(name, label, source, literals, tuple(types), path, types=types)


#: Keyword arguments that a contract itself passes, so that they are not options of a component.
CONTRACT_KEYWORDS = ("scale", "spatial_dims", "generator", "seed", "image_channels")


def _package_literal(package: str, key: str, default: str) -> str:
    return _file_literals(folder(package) / "__init__.py").get(key.lower(), default)


@functools.lru_cache(maxsize=64)
def _file_literals(path: Path) -> dict[str, Any]:
    return _literals(ast.parse(path.read_text(encoding="utf-8")).body)


def _keywords(body: list[ast.stmt], function: str) -> dict[str, str]:
    """Return the types of a function's keyword-only arguments by name, without those of the contract."""
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            both = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            return {a.arg: _type(a.annotation, default) for a, default in both if a.arg not in CONTRACT_KEYWORDS}
    return {}


def _type(annotation: ast.expr | None, default: ast.expr | None) -> str:
    """Return the type of an argument as text; empty where neither annotation nor default says it."""
    if annotation is not None:
        return ast.unparse(annotation)
    value = getattr(default, "value", None)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "float"  # 1 may stand for 1.0
    return type(value).__name__ if isinstance(value, bool | str) else ""


def _literals(body: list[ast.stmt]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for node in body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if not isinstance(target, ast.Name) or target.id.startswith("_") or value is None:
            continue
        try:
            found[target.id.lower()] = ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue  # not a literal: the component's own business
    return found
