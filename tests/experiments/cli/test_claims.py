"""`checkerscope claims` on claims of the test's own: what is kept, what is a failure, what is published."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from checkerscope.experiments.__main__ import run
from checkerscope.experiments.study import source_code
from checkerscope.experiments.verdicts import contract, history, judging, published
from checkerscope.experiments.verdicts import page as claims_page

CLAIM = '''"""A claim."""
from checkerscope.experiments.verdicts.contract import Verdict, exact, over

LABEL = "{label}"
SOURCE = "founding article, section 2.1"
KIND = "article"
STATEMENT = "Two and two make {two}."


def check(budget):
    """Add."""
    {before}
    return Verdict("{verdict}", {{"sum": over([3.9, 4.1], "1"), "cases": exact(1)}}, "It was tried.", "They make four.")
'''
Package = Callable[..., Path]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """A package of claims in place of the project's; writes one claim per call."""
    name = f"claims_on_trial_{abs(hash(tmp_path))}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Claims."""\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for module in (judging, contract, published):
        monkeypatch.setattr(module, "PACKAGE", name)
    # the stamp of a claim that is none of the project's: its file
    monkeypatch.setattr(source_code, "code_of", lambda *modules: (folder / modules[0].rpartition(".")[2]).as_posix())
    publish = published.publish
    data, page = tmp_path / "data", tmp_path / "claims.md"
    monkeypatch.setattr(published, "publish", lambda verdicts, names: publish(verdicts, names, data, page))
    load = published.load
    monkeypatch.setattr(published, "load", lambda folder=data: load(folder))
    monkeypatch.setattr(history, "unexplained", lambda repository: [])

    def write(claim: str, *, label: str = "Sum", two: str = "five", verdict: str = "fails", before: str = "") -> Path:
        path = folder / f"{claim}.py"
        path.write_text(CLAIM.format(label=label, two=two, verdict=verdict, before=before or "pass"))
        importlib.invalidate_caches()
        sys.modules.pop(f"{name}.{claim}", None)
        return path

    yield write
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def judge(*words: str) -> int:
    return run(["claims", "--workers", "0", *words])


def stored(name: str, budget: str = "smoke") -> Path:
    return Path("results") / "claims" / budget / f"{name}.json"


def test_a_verdict_is_shown_in_full_where_it_is_asked_for(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    package("sum_of_two")
    assert judge("sum_of_two") == 0
    out = capsys.readouterr().out
    assert "sum_of_two (founding article, section 2.1): FAILS\nClaim: Two and two make five.\n" in out
    assert "4, 95 % interval 2.73 to 5.27, n = 2" in out
    assert "Better: They make four." in out


def test_all_claims_are_a_table_and_a_count(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    package("first")
    package("second", verdict="holds")
    assert judge() == 0
    out = capsys.readouterr().out
    assert "fails    first" in out
    assert "2 claims: 1 hold, 0 hold in part, 1 fail" in out


def test_json_is_one_document(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    package("sum_of_two")
    assert judge("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["failures"] == []
    assert found["verdicts"][0]["claim"]["name"] == "sum_of_two"
    assert found["verdicts"][0]["verdict"]["numbers"]["sum"]["n"] == 2


def test_what_raises_is_a_failure_and_no_verdict(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    package("bad", before="raise RuntimeError('no such thing')")
    package("good")
    package("odd", before="return 3")
    assert judge() == 1
    shown = capsys.readouterr()
    assert "raised: bad: RuntimeError: no such thing" in shown.err
    assert "raised: odd: TypeError: odd: expected check to return a Verdict, got int" in shown.err
    assert "1 claims" in shown.out
    assert "bad" not in shown.out
    assert stored("good").is_file()
    assert not stored("bad").exists()
    assert judge() == 1, "a failure is tried again, never remembered as a verdict"


def test_an_unknown_name_lists_the_nearest(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    package("sum_of_two")
    assert judge("sum_of_too") == 2
    assert "did you mean 'sum_of_two'?" in capsys.readouterr().err


def test_a_file_that_says_too_little_is_named(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    path = package("silent")
    path.write_text(path.read_text().replace("STATEMENT", "_STATEMENT"))
    assert judge() == 2
    assert "silent.py: expected LABEL, SOURCE, STATEMENT and KIND" in capsys.readouterr().err
    path.write_text(path.read_text().replace("_STATEMENT", "STATEMENT").replace('"article"', '"landmark"'))
    assert judge() == 2
    assert "silent.py: expected THEIR_SETTING and OUR_SETTING" in capsys.readouterr().err


def test_a_second_run_judges_nothing(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    package("first")
    package("second")
    assert judge() == 0
    before = {path: path.stat().st_mtime_ns for path in Path("results").rglob("*.json")}
    judged: list[str] = []
    original = judging.judge_claim
    monkeypatch.setattr(judging, "judge_claim", lambda name, budget: judged.append(name) or original(name, budget))
    assert judge() == 0
    assert judged == []
    assert {path: path.stat().st_mtime_ns for path in Path("results").rglob("*.json")} == before
    assert judge("first", "--again") == 0
    assert judged == ["first"]


def test_an_interrupted_run_keeps_its_verdicts_and_goes_on(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    package("first")
    package("second")
    original, judged = judging.judge_claim, []

    def stopped(name: str, budget: str) -> object:
        if name == "second":
            raise KeyboardInterrupt
        judged.append(name)
        return original(name, budget)

    monkeypatch.setattr(judging, "judge_claim", stopped)
    assert judge() == 130
    assert stored("first").is_file()
    monkeypatch.setattr(judging, "judge_claim", lambda name, budget: judged.append(name) or original(name, budget))
    assert judge() == 0
    assert judged == ["first", "second"]


def test_a_damaged_or_outdated_verdict_is_judged_again(package: Package) -> None:
    package("first")
    assert judge() == 0
    whole = stored("first").read_bytes()
    stored("first").write_bytes(whole.replace(b"fails", b"holds"))
    assert judge() == 0
    assert stored("first").read_bytes() == whole
    outdated = json.loads(whole)["body"]
    outdated["stamp"]["code"] = "0" * 16
    from checkerscope.experiments.store import seals

    stored("first").write_bytes(seals.sealed(outdated))
    assert judge() == 0
    assert stored("first").read_bytes() == whole


def test_only_the_full_budget_is_published_or_checked(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    package("first")
    for option in ("--publish", "--check"):
        assert judge(option) == 2
        assert "need --budget full" in capsys.readouterr().err


def test_publishing_one_claim_leaves_the_others(package: Package, tmp_path: Path) -> None:
    package("first")
    package("second", label="Another sum")
    assert judge("--budget", "full", "--publish") == 0
    package("second", label="Another sum", verdict="partly")
    assert judge("second", "--budget", "full", "--again", "--publish") == 0
    found = published.load()
    assert found is not None
    verdicts = found.tables["verdicts"].set_index("claim")["verdict"]
    assert verdicts.to_dict() == {"first": "fails", "second": "partly"}
    assert len(found.tables["measured"]) == 4
    beside = json.loads((tmp_path / "data" / "environment.json").read_text())
    assert set(beside) == {"first", "second"}
    assert beside["first"]["torch"]
    page = (tmp_path / "claims.md").read_text()
    assert "[Another sum](#second)" in page
    assert "### second" in page
    assert "**Better:** They make four." in page
    package("second").unlink()
    assert judge("first", "--budget", "full", "--publish") == 0
    assert list(published.load().tables["verdicts"]["claim"]) == ["first"]  # type: ignore[union-attr]


def test_publishing_the_same_again_changes_no_table(package: Package, tmp_path: Path) -> None:
    package("first")
    assert judge("--budget", "full", "--publish") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "data").glob("*.csv")}
    assert judge("--budget", "full", "--again", "--publish") == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").glob("*.csv")} == before


def test_what_raised_publishes_nothing(package: Package, tmp_path: Path) -> None:
    package("bad", before="raise RuntimeError('no')")
    assert judge("--budget", "full", "--publish") == 1
    assert not (tmp_path / "data").exists()


def test_check_compares_with_what_is_committed(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    package("first")
    assert judge("--budget", "full", "--check") == 4
    assert "differs: first: fails here, none committed" in capsys.readouterr().err
    assert judge("--budget", "full", "--publish") == 0
    assert judge("--budget", "full", "--check") == 0
    package("first", verdict="partly")
    assert judge("--budget", "full", "--again", "--check") == 4
    assert "differs: first: partly here, fails committed" in capsys.readouterr().err


def test_check_tells_of_commits_that_changed_a_verdict_unsaid(
    package: Package, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package("first")
    assert judge("--budget", "full", "--publish") == 0
    monkeypatch.setattr(history, "unexplained", lambda repository: ["abc: changes first"])
    assert judge("--budget", "full", "--check") == 4
    assert "abc: changes first" in capsys.readouterr().err


def test_a_stamp_follows_what_a_claim_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = tmp_path / "experiments" / "claims"
    claims.mkdir(parents=True)
    (claims / "one.py").write_text("from checkerscope.experiments.claims._shared import add\n")
    (claims / "_shared.py").write_text("add = 1\n")
    (claims / "_other.py").write_text("add = 1\n")
    monkeypatch.setattr(source_code, "PROJECT", tmp_path)

    def stamp() -> str:
        source_code.forget()
        return source_code.code_of("checkerscope.experiments.claims.one")

    before = stamp()
    (claims / "_other.py").write_text("add = 2\n")
    assert stamp() == before
    (claims / "_shared.py").write_text("add = 2\n")
    assert stamp() != before
    source_code.forget()


def test_the_committed_page_is_that_of_the_committed_verdicts() -> None:
    committed = published.load()
    if committed is None:
        pytest.skip("no verdicts are committed")
    beside = judging.read_environment(published.PUBLISHED / judging.ENVIRONMENT)
    assert published.PAGE.read_text(encoding="utf-8") == claims_page.render(committed, beside)
