"""What comes with the program: configs, templates and published records; and which folders are the program's own."""

from __future__ import annotations

import os
from pathlib import Path

from checkerscope.experiments.study.source_code import PROJECT
from checkerscope.toolkit.catalog import closest

#: Configs, and the folder of templates and published records; both are installed with the program.
CONFIGS, PAPER = PROJECT / "configs", PROJECT / "paper"
#: Folders of a checkout that no command writes results into.
OWN = ("analysis", "checkerscope", "configs", "experiments", "paper", "toolkit")


def is_checkout() -> bool:
    """Return whether this is a working copy of the repository; else it is an installed package."""
    return not (PROJECT / "__init__.py").is_file()  # installed, the folders lie inside the package itself


def is_own(path: Path) -> bool:
    """Return whether a path lies inside the program: in the installed package, or in a checkout's code."""
    real = Path(os.path.realpath(path))  # unlike `resolve`, it takes a circle of links
    own = [PROJECT / name for name in OWN] if is_checkout() else [PROJECT]
    return any(real.is_relative_to(folder) for folder in own)


def published(study: str) -> Path:
    """Return the folder of a study's published records, whether there are any or not."""
    return PAPER / "data" / study


def published_studies() -> list[str]:
    """Return the names of all studies whose records are published."""
    folder = PAPER / "data"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def configs() -> dict[str, Path]:
    """Return every config by its name: those in ./configs, then those that come with the program."""
    found: dict[str, Path] = {}
    for folder in (CONFIGS, Path("configs")):
        found |= {path.stem: path for path in folder.glob("*.toml")}
    return dict(sorted(found.items()))


def config_file(given: Path) -> Path:
    """Return the config at a path, else the one of that name.

    Raises:
        ValueError: If there is neither; the message has the nearest name.
    """
    for path in (given, given.with_name(f"{given.name}.toml")) if given.name else ():
        if path.exists() and not path.is_dir():
            return path
    known = configs()
    name = given.name.removesuffix(".toml")
    if str(given.parent) in (".", "configs") and name in known:
        return known[name]
    if given.is_dir():
        raise ValueError(f"{given}: is a directory; expected a config: a TOML file or a name")
    raise ValueError(f"{given}: no such config; {closest(name, known)}")
