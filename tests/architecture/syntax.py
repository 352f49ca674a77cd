"""What the syntax trees of the project say: files, imports, calls."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: The one import name.
NAME = "checkerscope"
#: Folders whose files are parts of the package, the highest first: each imports only itself and those after it.
LAYERS = ("experiments", "analysis", "toolkit")
MODULE = re.compile(rf"{NAME}\.({'|'.join(LAYERS)})(\.\w+)*")


def key(path: Path) -> str:
    """Return a file's path in the project."""
    return path.relative_to(ROOT).as_posix()


def parsed(*folders: str) -> dict[str, ast.Module]:
    """Return the syntax trees of all Python files in folders by path."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {key(path): ast.parse(path.read_text(encoding="utf-8"), filename=key(path)) for path in paths}


#: Every file of the package, and the benchmarks, which use it.
FILES = parsed(*LAYERS)
BENCHMARKS = parsed("benchmarks")


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield every dotted module that a tree imports, `from a import b` as a.b too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def named(tree: ast.AST) -> Iterator[str]:
    """Yield the modules of ours that a tree imports, or names in a text, as `catalog.load` takes them."""
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    yield from (text for text in constants if isinstance(text, str) and MODULE.fullmatch(text))
    yield from (module for module in imports(tree) if within(module, NAME) or within(module, "benchmarks"))


def at_import(tree: ast.Module) -> Iterator[str]:
    """Yield what is imported when the module is, that is outside functions and `if TYPE_CHECKING`."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)
        pending.extend(ast.iter_child_nodes(node))


def within(module: str, package: str) -> bool:
    """Tell whether a dotted module is a package or lies in it."""
    return module == package or module.startswith(package + ".")


def file_of(module: str) -> str:
    """Return the file of a dotted module of ours; its last part may be a name inside it. Empty if it is not ours."""
    parts = module.removeprefix(NAME + ".").split(".")
    for length in (len(parts), len(parts) - 1):
        base = "/".join(parts[:length])
        for name in (f"{base}.py", f"{base}/__init__.py"):
            if name in FILES or name in BENCHMARKS:
                return name
    return ""


def dotted(node: ast.expr) -> str:
    """Return a.b.c of an attribute chain; what it starts with is `?` unless it is a name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node
