"""Components as somebody might drop them into a folder: each mistake is named before anything is trained."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from checkerscope.experiments.execution import preflight
from checkerscope.experiments.study import config
from checkerscope.experiments.study.grid import Grid
from checkerscope.toolkit import catalog

#: A good upsampler: nearest neighbour, with one weight that training may change.
GOOD = '''
import os, random, signal, sys, time
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from checkerscope.toolkit.contracts.upsampler import FixedUpsampler
{top}
class Planted(FixedUpsampler):
    """Planted by a test."""

    label = "Planted"
    source = "a test"

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.weight = nn.Parameter(torch.ones(1))
        {ctor}

    def enlarge(self, x, context):
        y = F.interpolate(x, scale_factor=self.scale, mode="nearest") * self.weight
        {forward}
        return y

    def upsample(self, x, context):
        {first}
        return super().upsample(x, context)
'''


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a component in place of nearest_conv; its code seems to lie in a toolkit folder, as dropped-in files do."""
    load = catalog.load

    def put(top: str = "", ctor: str = "pass", forward: str = "pass", first: str = "pass") -> Path:
        path = tmp_path / "toolkit" / "upsamplers" / "planted.py"
        path.parent.mkdir(parents=True)
        path.write_text(GOOD.format(top=top, ctor=ctor, forward=forward, first=first))

        scope: dict[str, Any] = {}

        def planted(package: str, name: str) -> Any:
            if (package, name) != ("checkerscope.toolkit.upsamplers", "nearest_conv"):
                return load(package, name)
            if not scope:  # once, as an import
                scope["__name__"] = "checkerscope.toolkit.upsamplers.planted"
                exec(compile(path.read_text(), str(path), "exec"), scope)
            return scope["Planted"]

        monkeypatch.setattr(catalog, "load", planted)
        return path

    return put


def checked(tiny: Path) -> None:
    run = next(iter(Grid(config.read(tiny), str(tiny))))
    preflight.check_arm(run.spec, run.arm)


def test_a_good_component_passes(plant: Callable[..., Path], tiny: Path) -> None:
    plant()
    checked(tiny)


BAD: dict[str, tuple[dict[str, str], str]] = {
    "raises when imported": ({"top": "1 / 0"}, r"planted.py:8: ZeroDivisionError: division by zero"),
    "exits when imported": ({"top": "sys.exit(0)"}, r"planted.py:8: SystemExit: 0"),
    "raises when built": ({"ctor": "raise RuntimeError('no\\nluck')"}, "planted.py:18: RuntimeError: no$"),
    "exits when built": ({"ctor": "sys.exit(0)"}, "planted.py:18: SystemExit: 0"),
    "raises what is no Exception": (
        {"top": "class Odd(BaseException):\n    pass\n", "ctor": "raise Odd('no\\nluck')"},
        "planted.py:20: Odd: no$",
    ),
    "raises when run": ({"forward": "self.nothing"}, "planted.py:22: AttributeError: 'Planted' object has no"),
    "exits when run": ({"forward": "sys.exit()"}, "planted.py:22: SystemExit"),
    "raises in the backward pass": (
        {"forward": "y.requires_grad and y.register_hook(lambda g: 1 / 0)"},
        "ZeroDivisionError: division by zero",
    ),
    "too large": ({"forward": "y = F.pad(y, (0, 1))"}, r"upsampler 0\): expected an output of shape \(1, 8, 16, 16"),
    "too many channels": ({"forward": "y = torch.cat([y, y], 1)"}, r"expected an output of shape .* got \(1, 16, 16"),
    "no axes": ({"forward": "y = y.mean()"}, r"expected an output of shape .*, got \(\)"),
    "a list": ({"forward": "y = [y]"}, "expected a tensor, got list"),
    "nothing": ({"forward": "y = None"}, "expected a tensor, got NoneType"),
    "float64": ({"forward": "y = y.double()"}, "expected torch.float32 on cpu, got torch.float64 on cpu"),
    "half": ({"forward": "y = y.half()"}, "got torch.float16"),
    "another device": ({"forward": "y = y.to('meta')"}, "expected torch.float32 on cpu, got torch.float32 on meta"),
    "NaN": ({"forward": "y = y * float('nan')"}, "expected finite numbers, got NaN or infinity from a finite input"),
    "infinity": ({"forward": "y = y / 0"}, "expected finite numbers, got NaN or infinity"),
    "NaN gradients": (
        {"forward": "y.requires_grad and y.register_hook(lambda g: g * float('nan'))"},
        "expected finite gradients, got NaN or infinity",
    ),
    "detached": ({"forward": "y = y.detach()"}, "weight: expected a gradient, got none"),
    "detached weight": ({"forward": "y = y.data + 0 * x.mean()"}, "weight: expected a gradient, got none; detach"),
    "an idle parameter": ({"ctor": "self.idle = nn.Parameter(torch.ones(1))"}, "idle: expected a gradient, got none"),
    "changes its input": ({"first": "x.data.mul_(0.5)"}, r"upsampler 0\): expected its input to stay as it is"),
    "counts its calls": (
        {"ctor": "self.count = 0", "forward": "self.count += 1; y = y * self.count"},
        "expected the same output twice from one input in eval mode",
    ),
    "random in both modes": ({"forward": "y = y + torch.rand(1)"}, "expected the same output twice from one input"),
    "random in training": (
        {"forward": "y = F.dropout(y, 0.5, self.training)"},
        "expected the same output twice from one input in train mode",
    ),
    "other weights each time": (
        {"ctor": "self.weight.data += random.random()"},
        "weight: expected the same weights each time it is built under one seed",
    ),
    "loops for ever": ({"ctor": "while True: time.sleep(0.001)"}, "planted.py:18: did not end within 0.5 s"),
    "loops for ever, catching everything": (
        {
            "top": "def wait():\n    while True:\n        try: time.sleep(0.001)\n        except Exception: pass\n",
            "ctor": "wait()",
        },
        "planted.py:10: did not end within 0.5 s",
    ),
    "an exception that cannot be printed": (
        {"top": "class Odd(Exception):\n    def __str__(self): raise ValueError\n", "ctor": "raise Odd"},
        r"planted.py:20: Odd: \(it cannot be printed\)",
    ),
}


@pytest.mark.parametrize("mistake", BAD)
def test_a_mistake_is_named_with_the_arm_and_the_file(
    mistake: str, plant: Callable[..., Path], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, message = BAD[mistake]
    plant(**code)
    monkeypatch.setattr(preflight, "TIMEOUT", 0.5 if "loops" in mistake else 300.0)
    with pytest.raises(ValueError, match=message) as caught:
        checked(tiny)
    assert str(caught.value).startswith("Nearest + conv: ")
    assert "\n" not in str(caught.value)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def put_back() -> dict[str, Callable[[], Any]]:
    return {
        "seed": lambda: torch.get_rng_state().tolist(),
        "numpy": lambda: np.random.get_state()[1].tolist(),  # noqa: NPY002 - only looked at
        "random": random.getstate,
        "dtype": torch.get_default_dtype,
        "threads": torch.get_num_threads,
        "gradients": torch.is_grad_enabled,
        "deterministic": torch.are_deterministic_algorithms_enabled,
        "folder": os.getcwd,
        "environment": lambda: dict(os.environ),
        "handler": lambda: signal.getsignal(signal.SIGTERM),
    }


CHANGES = {
    "seed": ("torch.manual_seed(7)", "torch's generator from one state to one state"),
    "numpy": ("np.random.seed(7)", "numpy's generator"),
    "random": ("random.seed(7)", "Python's generator"),
    "dtype": ("torch.set_default_dtype(torch.float64)", "default dtype from torch.float32 to torch.float64"),
    "threads": ("torch.set_num_threads(torch.get_num_threads() + 1)", r"threads from \d+ to \d+"),
    "gradients": ("torch.set_grad_enabled(False)", "gradient mode from True to False"),
    "deterministic": ("torch.use_deterministic_algorithms(True)", "deterministic mode from False to True"),
    "folder": ("os.chdir('/')", "working directory"),
    "environment": ("os.environ['PLANTED'] = '1'", "environment"),
    "handler": ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "signal handlers"),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("when", ["top", "forward"])
def test_what_the_process_shares_is_put_back_and_the_change_named(
    what: str, when: str, plant: Callable[..., Path], tiny: Path
) -> None:
    code, message = CHANGES[what]
    plant(**{when: code})
    look = put_back()[what]
    before = look()
    with pytest.raises(ValueError, match=f"Nearest . conv: .*({message}|same weights each time|without; leave)"):
        checked(tiny)
    assert look() == before


def test_what_torch_sets_by_itself_is_no_components_doing(plant: Callable[..., Path], tiny: Path) -> None:
    before = os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)
    plant(top="os.environ['TORCHINDUCTOR_CACHE_DIR'] = '/tmp/torch'")
    try:
        checked(tiny)
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/tmp/torch"
    finally:
        os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)
        os.environ.update({} if before is None else {"TORCHINDUCTOR_CACHE_DIR": before})


def test_a_bad_component_ends_the_command_before_anything_is_trained(
    plant: Callable[..., Path], tiny: Path, tmp_path: Path, checkerscope: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    plant(ctor="sys.exit(0)")
    assert checkerscope("run", tiny) == 2
    assert "error: Nearest + conv: planted.py:18: SystemExit: 0" in capsys.readouterr().err
    assert not list((tmp_path / "results").rglob("run.json"))


CONFIGS = sorted((Path(__file__).resolve().parents[3] / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_arm_of_every_config_can_be_trained(path: Path) -> None:
    arms = {run.arm: run.spec for run in Grid(config.read(path, ("images.size=32", "measure.margin=8")), str(path))}
    for arm, spec in arms.items():
        preflight.check_arm(spec, arm)


@pytest.fixture
def plant_measure(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], Any]], None]:
    """Put a measure in place of `tone`."""
    load = catalog.load

    def put(measure: Callable[[Any], Any]) -> None:
        def planted(package: str, name: str) -> Any:
            return SimpleNamespace(measure=measure) if name == "tone" else load(package, name)

        monkeypatch.setattr(catalog, "load", planted)

    return put


def raising(trial: Any) -> dict[str, float]:
    raise RuntimeError("no such band")


def endless(trial: Any) -> dict[str, float]:
    while True:
        pass


def drawing(trial: Any) -> dict[str, float]:
    return {"tone.one": float(torch.rand(()))}


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (raising, "RuntimeError: no such band; change [measure], or leave tone out"),
        (endless, "did not end within 0.5 s; change [measure], or leave tone out"),
        (drawing, "expected the state of the process to stay as it is, got a change of torch's generator"),
    ],
)
def test_a_measure_that_fails_ends_the_command_before_anything_is_trained(
    measure: Callable[[Any], Any], message: str, plant_measure: Callable[..., None], tiny: Path, tmp_path: Path,
    checkerscope: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    plant_measure(measure)
    if measure is endless:
        monkeypatch.setattr(preflight, "TIMEOUT", 0.5)
        monkeypatch.setattr(preflight, "check_arm", lambda spec, arm: None)
    assert checkerscope("run", tiny) == 2
    assert f"error: Nearest + conv: tone: {message}" in capsys.readouterr().err
    assert not list((tmp_path / "results").rglob("run.json"))


def test_a_measure_that_refuses_few_images_is_tried_with_all_that_it_will_get(
    plant_measure: Callable[..., None], tiny: Path
) -> None:
    seen: list[int] = []

    def at_least_four(trial: Any) -> dict[str, float]:
        seen.append(len(trial.target))
        if len(trial.target) < 4:
            raise ValueError("too few")
        return {}

    plant_measure(at_least_four)
    grid = Grid(config.read(tiny), str(tiny))
    run = next(iter(grid))
    preflight.check_measures(run.spec, run.arm, ("tone",), grid.config.measure.asked)
    assert seen == [2, 4]


def test_a_network_too_deep_for_its_measures_is_refused_at_once(
    tiny: Path, tmp_path: Path, checkerscope: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    deep = ("--set", "network.depth=5", "--set", "measure.margin=12")
    assert checkerscope("run", tiny, *deep) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: Nearest + conv: ")
    assert "leave" in shown
    assert not list((tmp_path / "results").rglob("run.json"))


@pytest.mark.parametrize("margin", [16, 1024])
def test_a_margin_that_leaves_nothing_of_an_image_is_refused_at_once(margin: int, tiny: Path) -> None:
    with pytest.raises(
        config.ConfigError, match=f"measure.margin: expected less than half of images.size = 32, got {margin}"
    ):
        Grid(config.read(tiny, (f"measure.margin={margin}",)), str(tiny))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_measure_of_every_config_passes(path: Path) -> None:
    grid = Grid(config.read(path), str(path))
    asked = grid.config.measure.asked
    for run in itertools.islice((run for run in grid if run.spec.seed == grid.factors["seed"][0]), 0, None, 9):
        preflight.check_measures(run.spec, run.arm, grid.config.measure.measures, asked)


def test_arms_that_differ_by_their_start_are_measured_once(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms: list[str] = []
    measured: list[str] = []
    monkeypatch.setattr(preflight, "check_arm", lambda spec, arm: arms.append(arm))
    monkeypatch.setattr(preflight, "check_measures", lambda spec, arm, *_: measured.append(arm))
    grid = Grid(config.read(tiny, ('grid.initializer=["default", "xavier"]',)), str(tiny))
    preflight.check_runs(grid, grid.config.measure, torch.device("cpu"))
    assert len(arms) == 4
    assert len(measured) == 2
