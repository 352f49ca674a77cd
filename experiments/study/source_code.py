"""Code stamps: digests of the source files that a number depends on, found by following imports."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkerscope.toolkit import catalog

if TYPE_CHECKING:
    from checkerscope.experiments.study.spec import RunSpec

NAME = "checkerscope"
#: Where `toolkit`, `analysis`, `experiments`, `configs` and `paper` lie: the checkout, or the installed package.
PROJECT = Path(__file__).resolve().parents[2]
#: Code of ours that changes no number: it finds files, checks arguments, keeps bytes, stops processes, talks.
NEUTRAL = tuple(
    f"{NAME}.{place}"
    for place in (
        *("toolkit.catalog", "toolkit.checks", "toolkit.options"),
        *("experiments.errors", "experiments.store", "experiments.workers", "experiments.reporting"),
        *("experiments.cli", "experiments.study.provenance", "experiments.study.source_code"),
    )
)
TRAINING = (f"{NAME}.experiments.execution.fit", f"{NAME}.experiments.execution.checkpoints")
MEASURING = f"{NAME}.experiments.execution.evaluate"
MEASURES = f"{NAME}.analysis.measures"
#: What a worker elsewhere must have in common with this process: all that a task runs.
WORKING = (
    *("toolkit", "analysis", "experiments/study", "experiments/execution"),
    *("experiments/store", "experiments/workers", "experiments/errors.py"),
)
#: What figures, tables and PDF depend on besides toolkit and analysis.
DRAWING_SOURCES = ("experiments/reporting/*.py", "experiments/store/cells.py", "paper/*.typ", "paper/*.bib")

#: A package of components and the name of the one that is loaded; no name where none is.
Choice = tuple[str, str]


@dataclass(frozen=True)
class _Imports:
    """What a file imports: modules, and packages of which it loads a component by a name known only when it runs."""

    modules: tuple[str, ...]
    packages: tuple[str, ...]


def training_code(spec: RunSpec, engine: str = "loop") -> str:
    """Return a digest of the source that a run's weights depend on, trained by an engine of `toolkit.training`."""
    return code_of(*TRAINING, f"{NAME}.toolkit.training.{engine}", chosen=_components(spec))


def measuring_code(spec: RunSpec, measure: str) -> str:
    """Return a digest of the source that one measure's numbers of one run depend on, besides its weights."""
    return code_of(MEASURING, chosen=(*_components(spec), (MEASURES, measure)))


def measure_stamp(spec: RunSpec, measure: str, asked: dict[str, int]) -> dict[str, Any]:
    """Return what is stored beside one measure's numbers of one run: they are out of date where it differs."""
    return {**asked, "code": measuring_code(spec, measure)}


def worker_code() -> str:
    """Return a digest of all source that a task may run, whatever its run."""
    return _digest(path for path in _sources(*WORKING) if not {"figures", "tables"} & set(path.parts))


def drawing_code() -> str:
    """Return a digest of all source, the manuscript included, that figures, tables and the PDF depend on."""
    drawing = (path for pattern in DRAWING_SOURCES for path in PROJECT.glob(pattern))
    return _digest((*_sources("toolkit", "analysis"), *drawing))


def _components(spec: RunSpec) -> tuple[Choice, ...]:
    named = {
        "images": spec.images.source.name,
        "networks": spec.network.name,
        "upsamplers": spec.upsampler.name,
        "initializers": spec.initializer.name,
        "remedies": "" if spec.cure is None else spec.cure.name,
    }
    return tuple((f"{NAME}.toolkit.{package}", name) for package, name in named.items())


@functools.lru_cache(maxsize=4096)
def code_of(*modules: str, chosen: tuple[Choice, ...] = ()) -> str:
    """Return a digest of modules of ours and of all modules of ours that they import; arguments as `closure`."""
    return _digest(closure(*modules, chosen=chosen))


def closure(*modules: str, chosen: tuple[Choice, ...] = ()) -> set[Path]:
    """Return the files of modules of ours and of all that they import, wherever in the file, but for `NEUTRAL`.

    Args:
        modules: Dotted names.
        chosen: The components that are loaded by name. A package that is not among them, and a component that loads
            another one of its folder, may load any.
    """
    named = dict(chosen)
    found: set[Path] = set()
    pending = [*modules, *(catalog.module_name(package, name) for package, name in chosen if name)]
    while pending:
        for path in _files(pending.pop()):
            if path not in found:
                found.add(path)
                imports = _imports(path)
                pending += imports.modules
                pending += (module for package in imports.packages for module in _loaded(package, path, named))
    return found


def _loaded(package: str, by: Path, named: dict[str, str]) -> list[str]:
    """Return the modules that a file may load from a package of components."""
    folder = PROJECT.joinpath(*package.split(".")[1:])
    if package in named and folder not in by.parents:
        return []  # it is followed already
    return [catalog.module_name(package, name) for name in catalog.names(package)]


def _files(module: str) -> list[Path]:
    """Return the files of a dotted name: of its packages, and of itself; the last part may be a name inside one.

    An `__init__.py` that only says what its folder is for is none of them.
    """
    if any(module == place or module.startswith(f"{place}.") for place in NEUTRAL):
        return []
    name, *parts = module.split(".")
    if name != NAME:
        return []
    bases = [PROJECT.joinpath(*parts[:length]) for length in range(1, len(parts) + 1)]
    packages = [path for base in bases if (path := base / "__init__.py").is_file() and not _is_prose(path)]
    return packages + [path for base in bases if (path := base.with_suffix(".py")).is_file()]


@functools.lru_cache(maxsize=1024)
def _is_prose(path: Path) -> bool:
    """Return whether a file holds nothing but text and literals."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return all(isinstance(node, ast.Expr | ast.Assign) and isinstance(node.value, ast.Constant) for node in tree.body)


@functools.lru_cache(maxsize=1024)
def _imports(path: Path) -> _Imports:
    modules: list[str] = []
    packages: list[str] = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in _that_run(tree):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from checkerscope.toolkit import catalog` must not stand for the package alone, nor for more than it says
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "catalog.load":
            packages.append(_text(node.args[0], tree))
    return _Imports(tuple(modules), tuple(packages))


def _that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree but those that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from (part for other in node.orelse for part in ast.walk(other))
        else:
            yield node
            yield from _that_run(node)


def _text(node: ast.expr, tree: ast.Module) -> str:
    """Return the string that an expression stands for: itself, or a constant of the file or of one it imports from.

    Raises:
        ValueError: If that cannot be read off the source.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name):
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == node.id:
                return _text(statement.value, tree)
            if isinstance(statement, ast.ImportFrom) and node.id in (alias.name for alias in statement.names):
                for path in reversed(_files(str(statement.module))):
                    return _text(node, ast.parse(path.read_text(encoding="utf-8")))
    raise ValueError(f"catalog.load: expected the name of a package, got {ast.unparse(node)}; write it out")


def _sources(*places: str) -> list[Path]:
    paths = (PROJECT / place for place in places)
    return [file for path in paths for file in ([path] if path.suffix else sorted(path.rglob("*.py")))]


@functools.lru_cache(maxsize=1024)
def _content(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _digest(paths: Iterable[Path]) -> str:
    """Return a digest of what files hold, wherever they lie."""
    return hashlib.sha256(b"".join(sorted(map(_content, set(paths))))).hexdigest()[:16]


def forget() -> None:
    """Read all source again: it is read once per process, as Python does."""
    for function in (code_of, _imports, _is_prose, _content):
        function.cache_clear()
