"""The report of a study and the manuscript: what they say, where they lie, and that nobody else's is taken for them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typst

from checkerscope.experiments.__main__ import run
from checkerscope.experiments.reporting import document, drawing, report
from checkerscope.experiments.store import drawings, verify
from checkerscope.experiments.study import packaged

Command = Callable[..., int]
TABLE = """LABEL = "Novel"
CAPTION = "A caption that nobody wrote into a template."
NEEDS = ("{need}",)
RANK = {rank}


def build(records):
    import pandas as pd

    return pd.DataFrame({{"what": ["one"], "value": ["1.5"]}})
"""


def said(results: Path) -> dict[str, object]:
    found = json.loads((results / "tiny" / "report" / "document.json").read_text())
    assert isinstance(found, dict)
    return found


def everything_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refuse(*arguments: object, **options: object) -> object:
    raise AssertionError("nothing was to be done")


# what it says


def test_a_report_is_of_its_study_and_says_how_it_was_made(tiny: Path, results: Path, checkerscope: Command) -> None:
    tiny.write_text(
        tiny.read_text().replace("[images]", 'title = "My own"\nauthors = ["A. User", "B. $x$"]\n[images]', 1)
    )
    assert checkerscope("paper", tiny) == 0
    found = said(results)
    assert (found["title"], found["authors"]) == ("My own", ["A. User", "B. $x$"])
    method = json.dumps(found["method"])
    for told in ("width 4", "latent channels 4", "32 by 32 pixels", "8 steps on batches of 4", "0.002", "0 and 1"):
        assert told in method.lower()
    assert "Transposed conv k4 (Zeiler 2010" in method
    assert [a["name"] for a in found["artefacts"] if a["kind"] == "table"] == ["main_results", "every_measure"]  # type: ignore[attr-defined, index]
    assert any("decoder_probe.rms" in line for line in found["left_out"])  # type: ignore[attr-defined]


def test_what_a_report_leaves_out_has_a_sentence_each(
    tiny: Path, results: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--set", "grid.train.learning_rate=[2e-3, 1e30]", "--set", 'grid.upsampler=["nearest_conv"]')
    assert checkerscope("study", tiny, *options) == 0
    lines = said(results)["left_out"]
    assert isinstance(lines, list)
    assert sum("diverged, loss or weights not finite" in line for line in lines) == 2
    assert all(line.endswith(".") for line in lines)


@pytest.fixture
def folder_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return the name of a package of modules by name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, **files: str) -> str:
        name = f"{name}_{abs(hash(tmp_path))}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        for file, text in files.items():
            (tmp_path / name / f"{file}.py").write_text(text)
        return name

    return make


def test_a_new_file_reaches_the_report_and_the_appendix_by_itself(
    tiny: Path, results: Path, paper_folder: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch,
    folder_of: Callable[..., str], tmp_path: Path,
) -> None:  # fmt: skip
    last, first = TABLE.format(need="tone.flat_rms", rank=50), TABLE.format(need="tone.flat_rms", rank=1)
    monkeypatch.setattr(drawing, "TABLES", folder_of("tables", a_novel=last, z_novel=first))
    monkeypatch.setattr(drawing, "FIGURES", folder_of("figures"))
    assert checkerscope("paper", tiny) == 0
    assert [each["name"] for each in said(results)["artefacts"]] == ["z_novel", "a_novel"]  # type: ignore[attr-defined, index]
    assert checkerscope("collect", tiny, "--publish") == 0
    # the manuscript's text is about the study `quick`
    shutil.copytree(packaged.published("tiny"), packaged.published("quick"))
    rename(packaged.published("quick"), "quick")
    monkeypatch.chdir(tmp_path)
    assert run(["paper"]) == 0
    built = tmp_path / "results" / "manuscript"
    assert (built / "checkerscope.pdf").read_bytes().startswith(b"%PDF")
    captions = typst.query(str(built / "checkerscope.typ"), "figure", field="caption", root=str(built))
    assert captions.count("A caption that nobody wrote into a template.") == 4  # two tables of two studies


def rename(folder: Path, study: str) -> None:
    from dataclasses import replace

    from checkerscope.experiments.store.records import load_records, save_records

    save_records(replace(load_records(folder), study=study), folder)


# where it lies


def test_nothing_is_written_outside_the_results(
    tiny: Path, tmp_path: Path, paper_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything_below(paper_folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert run(["study", str(tiny), "--workers", "0", "--set", "grid.seed=[0]"]) == 0
    assert [path.name for path in elsewhere.iterdir()] == ["results"]
    assert (elsewhere / "results" / "tiny" / "report" / "tiny.pdf").read_bytes().startswith(b"%PDF")
    assert everything_below(paper_folder) == before
    assert verify.verify_folder(elsewhere / "results")[1] == []


@pytest.mark.parametrize(
    ("output", "folder", "pdf"),
    [(None, "r/tiny/report", "r/tiny/report/tiny.pdf"), ("a.pdf", "r/tiny/report", "a.pdf"), ("o", "o", "o/tiny.pdf")],
)
def test_an_output_is_a_pdf_or_a_folder(output: str | None, folder: str, pdf: str) -> None:
    place = report.Place.of(Path("r/tiny"), Path(output) if output else None)
    assert (place.folder, place.pdf) == (Path(folder), Path(pdf))


def test_a_folder_that_moves_keeps_its_drawings_and_another_one_is_not_taken_for_it(
    tiny: Path, results: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert checkerscope("paper", tiny) == 0
    note = (results / "tiny" / "report" / "drawn.json").read_text()
    assert str(tmp_path) not in note
    pdf = (results / "tiny" / "report" / "tiny.pdf").read_bytes()
    results.rename(tmp_path / "moved")
    (tmp_path / "moved").rename(results)
    with monkeypatch.context() as patched:
        patched.setattr(report, "draw", refuse)
        assert checkerscope("paper", tiny) == 0
    # other records under the same name: what lies there is drawn anew, and what it does not have goes
    measures = ("--set", 'measure.measures=["tone"]')
    assert checkerscope("paper", tiny, *measures) == 0
    assert not (results / "tiny" / "report" / "figures" / "reconstructions.png").exists()
    assert (results / "tiny" / "report" / "tiny.pdf").read_bytes() != pdf
    assert checkerscope("paper", tiny) == 0
    assert (results / "tiny" / "report" / "tiny.pdf").read_bytes() == pdf


HOLDER = """
import sys
from pathlib import Path
from checkerscope.experiments.store import drawings
with drawings.alone(Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that draws into the folder `drawn`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "drawn")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_two_commands_draw_into_a_folder_one_after_the_other(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    told: list[str] = []

    def waiting(line: str) -> None:
        told.append(line)
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()

    with drawings.alone(tmp_path / "drawn", waiting):
        assert holder.wait(timeout=60) == 0
    assert told == [f"{tmp_path / 'drawn'}: another command draws here; waiting for it"]


def test_a_link_inside_the_drawings_is_not_followed(
    tiny: Path, results: Path, checkerscope: Command, tmp_path: Path
) -> None:
    (results / "tiny" / "report").mkdir()
    (tmp_path / "victim").mkdir()
    (results / "tiny" / "report" / "figures").symlink_to(tmp_path / "victim")
    assert checkerscope("paper", tiny) == 1
    assert list((tmp_path / "victim").iterdir()) == []


# what fails in the end is refused before the work


def test_a_typst_that_does_not_compile_is_said_before_training(
    tiny: Path, tmp_path: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def broken(*arguments: object, **options: object) -> bytes:
        raise RuntimeError("no fonts")

    monkeypatch.setattr(document.typst, "compile", broken)
    assert checkerscope("study", tiny) == 2
    assert "typst: expected it to compile one word, got: no fonts" in capsys.readouterr().err
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.parametrize("name", [document.REPORT, document.MANUSCRIPT, document.PIECES, document.REFERENCES])
def test_a_missing_template_is_said_before_training(
    name: str, tiny: Path, tmp_path: Path, paper_folder: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    (paper_folder / name).unlink()
    assert checkerscope("study", tiny) == 2
    assert f"{name}: missing; expected a template" in capsys.readouterr().err
    assert not list(tmp_path.rglob("run.json"))


def test_an_installed_package_is_never_written_into(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkerscope: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    package = tmp_path / "site-packages" / "checkerscope"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(packaged, "PROJECT", package)
    for command in (["study", str(tiny)], ["paper", str(tiny)], ["metric-audit"], ["claims"], ["paper"]):
        assert run([*command, "--results", str(package / "results")]) == 2
        assert "inside the program itself; choose another folder" in capsys.readouterr().err
    assert run(["study", str(tiny), "--output", str(package / "a.pdf")]) == 2
    assert run(["metric-audit", "--publish", "--results", str(tmp_path / "r")]) == 2
    assert "--publish: expected a checkout of the repository, got an installed package" in capsys.readouterr().err
    assert checkerscope("collect", tiny, "--publish") == 2
    assert [path.name for path in package.iterdir()] == ["__init__.py"]
