"""`checkerscope audit`: exit codes and one line per mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.__main__ import run

MODELS = """
from torch import nn
def dirty(): return nn.ConvTranspose2d(3, 3, 4, 2, 1)
def clean(): return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 3, padding=1))
def flat(): return nn.Conv2d(3, 3, 3)
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "audited_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(("factory", "code"), [("dirty", 1), ("clean", 0)])
def test_the_exit_code_says_whether_it_is_clean(factory: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", f"audited_models:{factory}", "--input", "1,3,16,16", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["clean"] is (code == 0)


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["audited_models:flat", "--input", "1,3,16,16"], "no layer enlarges"),
        (["audited_models:nothing", "--input", "1,3,16,16"], "no attribute 'nothing'"),
        (["no_such_module_here:f", "--input", "1,3,16,16"], "No module named"),
        (["audited_models:dirty", "--input", "1x3"], "expected batch, channels and sides"),
        (["audited_models:dirty", "--input", "1,4,16,16"], "the model fails on the example input"),
        (["audited_models:dirty", "--input", "1,3,16,16", "--weights", "audited_models.py"], "expected a state dict"),
        (["audited_models:dirty", "--input", "1,3,16,16", "--weights", "absent.pt"], "absent.pt"),
    ],
)
def test_what_cannot_be_audited_is_one_line_and_exit_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", *words]) == 2
    assert message in capsys.readouterr().err
