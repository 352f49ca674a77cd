"""`checkerscope audit`: exit codes, one line per mistake, what it reads and what it writes."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from checkerscope.experiments.__main__ import run
from checkerscope.experiments.cli.user_models import load_model, user_code
from checkerscope.experiments.errors import STOPS

MODELS = """
import torch
from torch import nn
def dirty(): return nn.ConvTranspose2d(3, 3, 4, 2, 1)
def clean():
    print("made")
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 3, padding=1))
def audio(): return nn.ConvTranspose1d(3, 3, 8, 4, 2)
def constant():
    model = dirty()
    nn.init.zeros_(model.weight)
    return model
def huge():
    model = dirty()
    nn.init.constant_(model.weight, 1e38)
    return model
class Numpy(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Upsample(scale_factor=2)
    def forward(self, x):
        return self.up(x).numpy()
def flat(): return nn.Conv2d(3, 3, 3)
def broken(): raise RuntimeError("first line\\nsecond line")
def number(): return 3
class Odd(BaseException):
    pass
class Unprintable(BaseException):
    def __str__(self): raise ValueError
def odd(): raise Odd("first line\\nsecond line")
def unprintable(): raise Unprintable
def exits(): raise SystemExit
class Raises(nn.Module):
    def forward(self, x):
        raise Odd("first line\\nsecond line")
class Codes(nn.Module):
    def __init__(self):
        super().__init__()
        self.book, self.up = nn.Embedding(5, 3), nn.Upsample(scale_factor=2)
    def forward(self, codes, factor):
        return self.up(self.book(codes).permute(0, 3, 1, 2)) * factor
class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.spare = nn.PixelShuffle(2)
    def forward(self, x):
        return x
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "audited_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(("factory", "code"), [("dirty", 1), ("clean", 0)])
def test_the_exit_code_says_whether_it_is_clean(factory: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """What the factory prints goes to standard error: standard output is the document alone."""
    assert run(["audit", f"audited_models:{factory}", "--input", "1,3,16,16", "--json", "--cures", "0"]) == code
    assert json.loads(capsys.readouterr().out)["clean"] is (code == 0)


@pytest.mark.usefixtures("models")
def test_the_limit_is_the_users(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "audited_models:dirty", "--input", "1,3,16,16", "--fail-over", "20"]) == 0
    assert run(["audit", "audited_models:clean", "--input", "1,3,16,16", "--fail-over", "-300"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("\x1b" in line for line in lines)


@pytest.mark.usefixtures("models")
def test_the_limit_may_be_in_grey_levels(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["audit", "audited_models:dirty", "--input", "1,3,16,16", "--cures", "0", "--fail-over"]
    assert run([*words, "250/255"]) == 0
    assert run([*words, "0.5/255"]) == 1
    assert "grey levels of 255" in capsys.readouterr().out


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("limit", ["nan", "inf", "-inf", "loud", "1/2/3", "0/255", "-1/255", "1/0", ""])
def test_a_limit_that_is_no_number_is_refused(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "audited_models:dirty", "--input", "1,3,16,16", f"--fail-over={limit}"]) == 2
    err = capsys.readouterr().err
    assert "--fail-over: expected" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.usefixtures("models")
def test_the_factory_is_seeded(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["audit", "audited_models:dirty", "--input", "1,3,16,16", "--json", "--cures", "0"]
    assert run(words) == run(words) == 1
    first, second = capsys.readouterr().out.strip().split("\n}\n")
    assert json.loads(first + "\n}") == json.loads(second)


@pytest.mark.usefixtures("models")
def test_cures_are_tried_before_they_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["audit", "audited_models:dirty", "--input", "1,3,16,16", "--json"]
    assert run(words) == 1
    cures = json.loads(capsys.readouterr().out)["trials"]["cures"]
    assert cures
    assert all(cure["clean"] or cure["tone_db"] < -10 for cure in cures)


@pytest.mark.usefixtures("models")
def test_frequencies_of_lines(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["audit", "audited_models:audio", "--input", "1,3,64", "--sample-rate", "8000", "--cures", "0"]
    assert run(words) == 1
    assert "2000 Hz, by (model)" in capsys.readouterr().out


@pytest.mark.usefixtures("models")
def test_several_inputs_and_integers(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["audit", "audited_models:Codes", "--input", "1,8,8@5", "--input", "1", "--spatial-dims", "2", "--json"]
    assert run(words) == 0
    assert json.loads(capsys.readouterr().out)["layers"][0]["path"] == "up"


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_are_loaded(models: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    state = {"weight": torch.ones(3, 3, 4, 4), "bias": torch.zeros(3)}
    path = models / f"even{suffix}"
    if suffix == ".pt":
        torch.save(state, path)
    else:
        save_file(state, path)
    assert run(["audit", "audited_models:dirty", "--input", "1,3,16,16", "--weights", str(path)]) == 0
    assert "overlap" in capsys.readouterr().out


def odd(kind: str) -> torch.Tensor:
    with warnings.catch_warnings(action="ignore"):  # torch warns of what it will change
        if kind == "nested":
            return torch.nested.nested_tensor([torch.ones(3)])
        return torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)


EVEN = {"weight": torch.ones(3, 3, 4, 4), "bias": torch.zeros(3)}


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("bias", [torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.int64)])
def test_weights_of_another_type_that_lose_nothing_are_taken(bias: torch.Tensor) -> None:
    torch.save({**EVEN, "bias": bias}, "other.pt")
    assert run(["audit", "audited_models:dirty", "--input", "1,3,16,16", "--weights", "other.pt"]) == 0


class Canary:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("touched", "w")


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("name", ["evil.pt", "evil.safetensors"])
def test_pickled_weights_are_refused_and_never_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(name).write_bytes(pickle.dumps({"weight": Canary()}))
    assert run(["audit", "audited_models:dirty", "--input", "1,3,16,16", "--weights", name]) == 2
    assert "expected a state dict in safetensors, or one that torch loads with weights only" in capsys.readouterr().err
    assert not Path("touched").exists()


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": torch.ones(3, 3, 3, 3), "bais": torch.zeros(3)}, "missing: bias; unexpected: bais; other shapes:"),
        ({"weight": torch.ones(3, 3, 3, 3), "bias": torch.zeros(3)}, "weight (3, 3, 3, 3) for (3, 3, 4, 4)"),
        ({"epoch": 3, "model": {}}, "got other values under epoch, model; save the inner one"),
        ([torch.ones(3)], "expected a state dict, got list"),
        ({7: torch.ones(3)}, "expected a state dict with names for keys, got 7"),
        ({None: torch.ones(3), ("a", 1): torch.ones(3)}, "with names for keys, got None, ('a', 1)"),
        ({b"weight": torch.ones(3)}, "with names for keys, got b'weight'"),
        ({"": torch.ones(3)}, "missing: weight, bias; unexpected: "),
        ({"weight\n\x1b[2J": torch.ones(3)}, "unexpected: weight"),
        ({**EVEN, "weight": torch.empty(3, 3, 4, 4, device="meta")}, "got meta (without numbers) weight"),
        ({**EVEN, "weight": torch.ones(3, 3, 4, 4).to_sparse()}, "got sparse weight; convert them and save again"),
        ({**EVEN, "bias": odd("nested")}, "got nested bias"),
        ({**EVEN, "bias": odd("quantized")}, "got quantized bias"),
        ({**EVEN, "bias": torch.ones(3, dtype=torch.complex64)}, "lost: bias (torch.complex64 for torch.float32)"),
        (
            {**EVEN, "bias": 1e300 * torch.ones(3, dtype=torch.float64)},
            "bias (beyond the range of torch.float32)",
        ),
        ({**EVEN, "bias": torch.full((3,), 2**24 + 1)}, "lost: bias (torch.int64 for torch.float32)"),
    ],
)
def test_weights_that_do_not_fit_say_how(state: object, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(action="ignore"):
        torch.save(state, "other.pt")
    assert run(["audit", "audited_models:dirty", "--input", "1,3,16,16", "--weights", "other.pt"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["audited_models:flat", "--input", "1,3,16,16"], "no layer enlarges"),
        (["audited_models:Unused", "--input", "1,3,16,16"], "Never executed: spare."),
        (["audited_models:nothing", "--input", "1,3,16,16"], "no attribute 'nothing'"),
        (["audited_models:constant", "--input", "1,3,16,16"], "Cannot be judged: the output does not depend on the"),
        (["audited_models:huge", "--input", "1,3,16,16"], "expected finite values, got NaN or infinity"),
        (["audited_models:Numpy", "--input", "1,3,16,16"], "the model returned ndarray: (1, 3, 32, 32)"),
        (["audited_models:dirty", "--input", "3,16,16"], "expected a batch axis, got (3, 16, 16); pass (1, 3, 16, 16)"),
        (["audited_models:dirty", "--input", "1,3,16,16", "--spatial-dims", "1"], "audit: spatial_dims: expected maps"),
        (["audited_models:dirty", "--input", "1,3,16,16", "--spatial-dims", "3"], "audit: spatial_dims: expected maps"),
        (["audited_models:dirty", "--input", "1,3,16,16", "--picture", "a" * 300 + ".png"], "File name too long"),
        (["audited_models:broken", "--input", "1,3,16,16"], "RuntimeError: first line"),
        (["audited_models:odd", "--input", "1,3,16,16"], "audited_models:odd: Odd: first line"),
        (["audited_models:unprintable", "--input", "1,3,16,16"], "Unprintable: (it cannot be printed)"),
        (["audited_models:exits", "--input", "1,3,16,16"], "audited_models:exits: SystemExit: no message"),
        (["audited_models:Raises", "--input", "1,3,16,16"], "the code that was named raised Odd: first line"),
        (["audited_models:number", "--input", "1,3,16,16"], "expected an nn.Module, got int"),
        (["audited_models", "--input", "1,3,16,16"], "expected MODULE:FACTORY"),
        (["no_such_module_here:f", "--input", "1,3,16,16"], "No module named"),
        (["audited_models:dirty", "--input", "1;3"], "expected batch, channels and sides"),
        (["audited_models:dirty", "--input", "1,3,0,4"], "expected batch, channels and sides"),
        (["audited_models:dirty", "--input", "1,3,4@x"], "expected a whole number after @"),
        (["audited_models:dirty", "--input", "1,3,4@" + "9" * 30], "expected a whole number after @"),
        (["audited_models:dirty", "--input", "1,3," + "9" * 5000], "expected batch, channels and sides"),
        (
            ["audited_models:dirty", "--input", "1,3,99999999999,9"],
            "--input: expected at most 2147483648 numbers, got '1,3",
        ),
        (
            ["audited_models:dirty", "--input", "1,3,99999999999,9@5"],
            "--input: expected at most 2147483648 numbers, got",
        ),
        (["audited_models:dirty", "--input", "1,4,16,16"], "the model fails on the example input"),
        (["audited_models:dirty", "--input", "1,3,16,16", "--weights", "audited_models.py"], "expected a state dict"),
        (["audited_models:dirty", "--input", "1,3,16,16", "--weights", "absent.pt"], "absent.pt: No such file"),
        (["audited_models:dirty", "--input", "1,3,16,16", "--picture", "a.gif"], "expected a name that ends in .png"),
    ],
)
def test_what_cannot_be_audited_is_one_line_and_exit_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("stop", STOPS)
def test_a_signal_is_nobodys_mistake(stop: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> None:
        raise stop(15)

    import audited_models

    monkeypatch.setattr(audited_models, "odd", stopped)
    with pytest.raises(stop), user_code():
        load_model("audited_models:odd")


@pytest.mark.usefixtures("models")
def test_the_picture_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["audit", "audited_models:dirty", "--input", "1,3,16,16", "--picture", "found/report.png", "--cures", "0"]
    assert run(words) == 1
    assert Path("found/report.png").read_bytes().startswith(b"\x89PNG")


def test_the_help_says_whose_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "--help"]) == 0
    assert "runs its author's code" in " ".join(capsys.readouterr().out.split())
