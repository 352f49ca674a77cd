"""What git tells of the committed verdicts: a commit that changes one says so under `Numbers:`."""

from __future__ import annotations

import csv
import io
import re
import subprocess
from pathlib import Path

#: Relative to the repository.
VERDICTS = "paper/data/claims/verdicts.csv"
#: The line that a commit with changed verdicts has to have, with something behind it or below it.
EXPLANATION = re.compile(r"^Numbers:", re.MULTILINE)


class NoHistory(Exception):
    """There is no git, or no repository, to ask."""


def unexplained(repository: Path, path: str = VERDICTS) -> list[str]:
    """Return one line per commit that changes or drops a committed verdict without a `Numbers:` line.

    A verdict that comes to a claim which had none changes nothing.

    Raises:
        NoHistory: If git or the repository is absent.
    """
    commits = _git(repository, "log", "--format=%H", "--no-merges", "--", path).split()
    lines = []
    for commit in commits:
        changed = _changed(_verdicts(repository, f"{commit}^", path), _verdicts(repository, commit, path))
        if changed and not EXPLANATION.search(_git(repository, "log", "-1", "--format=%B", commit)):
            lines.append(f"{commit[:12]}: changes {', '.join(changed)} without a Numbers: line in its message")
    return lines


def _changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(claim for claim, verdict in before.items() if after.get(claim) != verdict)


def _verdicts(repository: Path, commit: str, path: str) -> dict[str, str]:
    """Return claim to verdict as committed; nothing where the file or the commit is not there."""
    try:
        text = _git(repository, "show", f"{commit}:{path}")
    except NoHistory:
        return {}
    return {row["claim"]: row["verdict"] for row in csv.DictReader(io.StringIO(text))}


def _git(repository: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(repository), *arguments], capture_output=True, check=True, encoding="utf-8"
        )
    except FileNotFoundError:
        raise NoHistory("git is not installed") from None
    except subprocess.CalledProcessError as error:
        raise NoHistory(error.stderr.strip()) from None
    return done.stdout
