"""A study of a few seconds, for the tests that need a whole one."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

#: Programs that tests start; not tests.
collect_ignore = [f"experiments/store/{name}.py" for name in ("kill_points", "power_cut", "broken_disk")]
PROJECT = Path(__file__).resolve().parents[1]
TINY = """# Question  Does the chain work?
scale = 2
[study]
name = "tiny"
question = "Does the chain work?"
[images]
source = {name = "photos", images = 64}
size = 32
[network]
name = "autoencoder"
width = 4
latent_channels = 4
[train]
steps = 8
batch_size = 4
learning_rate = 2e-3
[measure]
measures = [
  "tone", "checkerboard_energy", "reconstruction", "radial_spectrum", "average_spectrum", "phase_gain", "overlap_map",
]
images = 4
margin = 8
[grid]
upsampler = ["nearest_conv", {name = "transposed_conv", kernel_size = 4}]
initializer = ["default"]
seed = [0, 1]
"""


@pytest.fixture(scope="session")
def tiny_text() -> str:
    """The config of four runs that take a tenth of a second each."""
    return TINY


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The same, as a file."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def manuscript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A paper folder with nothing built in it yet."""
    folder = tmp_path_factory.mktemp("manuscript") / "paper"
    folder.mkdir()
    for path in (PROJECT / "paper").iterdir():
        if path.suffix in (".typ", ".bib"):
            shutil.copy(path, folder)
    return folder


@pytest.fixture
def paper_folder(manuscript: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder of templates and published records, instead of the repository's own."""
    from checkerscope.experiments.study import packaged

    folder = tmp_path / "paper"
    shutil.copytree(manuscript, folder)
    monkeypatch.setattr(packaged, "PAPER", folder)
    return folder


@pytest.fixture
def checkerscope(tmp_path: Path) -> Callable[..., int]:
    """Run a command of the command line in this process, on the results folder of this test."""
    from checkerscope.experiments.__main__ import run

    working = ("run", "measure", "study")

    def command(name: str, config: Path, *options: str) -> int:
        here = ["--workers", "0"] if name in working else []
        return run([name, str(config), "--results", str(tmp_path / "results"), *here, *options])

    return command


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of the tiny study, trained, measured and collected; tests copy it before they change it."""
    from checkerscope.experiments.__main__ import run

    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(TINY)
    options = [str(folder / "tiny.toml"), "--results", str(folder / "results")]
    assert run(["run", *options, "--workers", "0"]) == 0
    assert run(["measure", *options, "--workers", "0"]) == 0
    assert run(["collect", *options]) == 0
    return folder / "results"


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study where `checkerscope` looks for it."""
    shutil.copytree(finished, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture(autouse=True, scope="session")
def hangups_are_heard() -> Iterator[None]:
    """What nohup ignores stays ignored; the tests of SIGHUP must not depend on how they were started."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
