"""A commit that changes a committed verdict says so: on a repository of the test's own, and on this one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from checkerscope.experiments.study import source_code
from checkerscope.experiments.verdicts.history import VERDICTS, NoHistory, unexplained

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def git(folder: Path, *words: str) -> None:
    who = {f"GIT_{role}_{what}": "nobody" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", "-C", str(folder), *words], check=True, env={**os.environ, **who}, capture_output=True)


def commit(folder: Path, message: str, **verdicts: str) -> None:
    path = folder / VERDICTS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("claim,verdict\n" + "".join(f"{claim},{word}\n" for claim, word in verdicts.items()))
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)


def test_new_claims_need_no_explanation(repository: Path) -> None:
    commit(repository, "claims: first", one="holds")
    commit(repository, "claims: another", one="holds", two="fails")
    assert unexplained(repository) == []


def test_a_changed_verdict_needs_one(repository: Path) -> None:
    commit(repository, "claims: first", one="holds", two="fails")
    commit(repository, "claims: tidy up\n\nThe numbers: as before.", one="fails", two="fails")
    (line,) = unexplained(repository)
    assert line.endswith("changes one without a Numbers: line in its message")
    commit(repository, "claims: more steps\n\nNumbers: two holds at 400 steps.", one="fails", two="holds")
    assert len(unexplained(repository)) == 1


def test_a_dropped_verdict_needs_one(repository: Path) -> None:
    commit(repository, "claims: first", one="holds", two="fails")
    commit(repository, "claims: drop one", two="fails")
    assert "changes one" in unexplained(repository)[0]


def test_no_repository_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(NoHistory, match="not a git repository"):
        unexplained(tmp_path)


def test_this_repository_explains_its_verdicts() -> None:
    try:
        lines = unexplained(source_code.PROJECT)
    except NoHistory as absent:
        pytest.skip(str(absent))
    assert lines == []
