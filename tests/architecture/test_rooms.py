"""One import name, rooms in an order, no circles, and no room that is too large."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.architecture.syntax import BENCHMARKS, FILES, LAYERS, NAME, ROOT, file_of, imports, named, within

#: The rooms of each layer, the highest first: each imports only itself and those after it.
ROOMS = {
    "experiments": (
        *("__main__", "cli", "claims", "verdicts", "reporting", "execution", "workers", "store", "study"),
        *("reporter", "errors"),
    ),
    "analysis": (
        *(
            "figures",
            "tables",
            "metric_audit",
            "cures",
            "audit",
            "inspect",
            "comparison",
            "measures",
            "statistics",
            "periodicity",
        ),
        *("cost", "distortions", "phases", "spectra", "lattice", "trial", "records"),
    ),
    "toolkit": (
        *(
            "curing",
            "remedies",
            "parametrizations",
            "training",
            "networks",
            "images",
            "initializers",
            "upsamplers",
            "response",
            "filters",
        ),
        *("geometry", "contracts", "options", "catalog", "checks"),
    ),
    "benchmarks": ("*", "pages", "harness", "plain_script"),
}
#: Folders where one file is one component, so that they may grow without end.
CATALOGUES = (
    *("experiments/claims", "analysis/figures", "analysis/tables", "analysis/measures"),
    *("toolkit/remedies", "toolkit/networks", "toolkit/images", "toolkit/initializers", "toolkit/upsamplers"),
)
MOST_MODULES = 14
ALL = {**FILES, **BENCHMARKS}


def layer(name: str) -> str:
    return name.split("/")[0]


def room(name: str) -> str:
    """Return the room of a file: a folder of its layer, or itself."""
    return name.split("/")[1].removesuffix(".py")


def graph(files: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """Return which files of ours each file imports anywhere: at its top, in functions, and for type checkers."""
    return {name: {file_of(module) for module in imports(tree)} - {"", name} for name, tree in files.items()}


def test_there_is_something_to_read() -> None:
    assert {layer(name) for name in FILES} == set(LAYERS)
    assert len(FILES) > 60
    assert sum(map(len, graph(ALL).values())) > 500


def test_layers_are_imported_one_way() -> None:
    """Also where a module is named in a text, as `catalog.load` takes it."""
    below = {name: LAYERS[i:] for i, name in enumerate(LAYERS)}
    wrong = {
        f"{name} names {module}"
        for name, tree in FILES.items()
        for module in named(tree)
        if module not in (NAME, f"{NAME}.__version__")
        if module.removeprefix(NAME + ".").split(".")[0] not in (*below[layer(name)], "configs", "paper")
    }
    assert not wrong


@pytest.mark.parametrize("name", ROOMS)
def test_rooms_of_a_layer_are_imported_in_their_order(name: str) -> None:
    order = ROOMS[name]
    floors = {key: order.index(room(key) if room(key) in order else "*") for key in inside(name, order)}
    wrong = {
        f"{importer} ({room(importer)}) imports {imported} ({room(imported)}), which stands above it"
        for importer, found in graph(ALL).items()
        for imported in found
        if importer in floors and imported in floors and floors[imported] < floors[importer]
    }
    assert not wrong


def inside(name: str, order: tuple[str, ...]) -> Iterator[str]:
    """Yield the files of a layer that stand in a room."""
    for key in ALL:
        if layer(key) == name and key != f"{name}/__init__.py":
            known = room(key) in order or "*" in order
            assert known, f"{key}: expected one of the rooms {', '.join(order)}; give a new room its place in ROOMS"
            yield key


def test_nothing_imports_the_package_it_is_in() -> None:
    """A layer's own `__init__` says what the layer is; it offers nothing, so that nothing is imported through it."""
    for name in LAYERS:
        assert not list(imports(FILES[f"{name}/__init__.py"]))


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Return files that import each other, directly or through others, as far as no file of no circle is left."""
    left = {name: set(found) for name, found in edges.items()}
    while True:
        ends = {name for name, found in left.items() if not found & left.keys()}
        ends |= left.keys() - {imported for found in left.values() for imported in found}
        if not ends:
            return [sorted(left)] if left else []
        left = {name: found for name, found in left.items() if name not in ends}


def test_a_circle_is_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_there_is_no_circle() -> None:
    """Neither at the top of files nor in functions nor for type checkers."""
    assert not circles(graph(ALL))


def folders() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in ALL:
        folder, _, file = name.rpartition("/")
        found.setdefault(folder, []).append(file)
    return found


def test_no_room_is_too_large() -> None:
    sizes = {
        folder: len(set(files) - {"__init__.py"})
        for folder, files in folders().items()
        if not within(folder.replace("/", "."), "benchmarks") and not folder.startswith(CATALOGUES)
    }
    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_every_room_says_what_it_is_for() -> None:
    silent = [
        name for name, tree in ALL.items() if name.endswith("__init__.py") and len(ast.get_docstring(tree) or "") < 20
    ]
    assert not silent
    assert {folder for folder, files in folders().items() if "__init__.py" not in files} <= {"benchmarks"}


# one name

#: Folders and files in which somebody may write an import.
WRITTEN = (*LAYERS, NAME, "tests", "benchmarks", "docs", "configs", "paper", ".ci")
PLAIN = re.compile(rf"^[\s>`]*(?:import|from) +({'|'.join(LAYERS)})\b(?!:)|-m +({'|'.join(LAYERS)})\b", re.M)


def texts() -> Iterator[tuple[str, str]]:
    """Yield everything that a person writes here: code, listings, scripts."""
    paths = [path for folder in WRITTEN for path in (ROOT / folder).rglob("*") if not path.is_symlink()]
    for path in [*paths, *ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "setup.cfg"]:
        written = path.suffix in (".py", ".md", ".toml", ".typ", ".sh", ".cfg", "") and path.is_file()
        if written and "__pycache__" not in path.parts:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_everything_is_imported_under_the_one_name() -> None:
    """A plain `import` of a folder works in the clone and makes a second copy of every class."""
    wrong = {f"{name}: {found.group().strip()}" for name, text in texts() for found in PLAIN.finditer(text)}
    assert not wrong, f"write {NAME}.{LAYERS[0]} and so on"


@pytest.mark.parametrize("line", ["import {}", "    from {}.x import y", ">>> from {} import z", "python -m {}"])
def test_a_plain_import_is_seen(line: str) -> None:
    assert PLAIN.search(line.format(LAYERS[0]))
    assert not PLAIN.search(line.format(f"{NAME}.{LAYERS[0]}"))


def test_the_links_lead_to_the_folders() -> None:
    for name in (*LAYERS, "configs", "paper"):
        link = ROOT / NAME / name
        assert link.readlink() == Path("..") / name
        assert link.is_dir()


def test_the_package_list_is_the_folders() -> None:
    """An installed copy has every folder of modules, from where it lies, without the links."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = setup["options"]["packages"].split()
    places = dict(line.split(" = ") for line in setup["options"]["package_dir"].strip().splitlines())
    found = {f"{NAME}.{folder.replace('/', '.')}" for folder in folders() if layer(folder) in LAYERS}
    assert sorted(listed) == sorted({NAME, f"{NAME}.configs", f"{NAME}.paper", *found})
    assert places == {NAME: NAME, **{f"{NAME}.{name}": name for name in (*LAYERS, "configs", "paper")}}
