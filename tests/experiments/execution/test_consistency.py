"""What changed since finished runs were made: said, or refused, and never mixed."""

from __future__ import annotations

import ast
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.reporting import collect
from checkerscope.experiments.store.records import load_records
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.store.seals import digest, sealed
from checkerscope.experiments.study import build, config, provenance, source_code
from checkerscope.experiments.study.grid import Grid
from checkerscope.toolkit import catalog

Command = Callable[..., int]


def forget() -> None:
    """Read the images again, as a new process does."""
    build._fingerprint.cache_clear()
    build._data.cache_clear()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        for i in range(3):
            noise = np.random.default_rng(i).integers(0, 256, (48, 48, 3), dtype=np.uint8) // (1 + len(split) // 5)
            Image.fromarray(noise).save(folder / split / f"{i}.png")
    forget()
    return folder


@pytest.fixture
def own_images(tiny: Path, pictures: Path) -> Path:
    """The tiny study on two runs of the user's own images."""
    tiny.write_text(
        tiny.read_text()
        .replace('{name = "photos", images = 64}', f'{{name = "folder", path = "{pictures}"}}')
        .replace('["nearest_conv", {name = "transposed_conv", kernel_size = 4}]', '["nearest_conv"]')
        .replace("steps = 8", "steps = 2")
    )
    return tiny


CHANGED: dict[str, Callable[[Path], object]] = {
    "edited": lambda p: Image.new("RGB", (48, 48)).save(p / "train" / "0.png"),
    "added": lambda p: Image.new("RGB", (48, 48)).save(p / "train" / "9.png"),
    "removed": lambda p: (p / "train" / "0.png").unlink(),
    "test image edited": lambda p: Image.new("RGB", (48, 48)).save(p / "test" / "0.png"),
    "moved to the other split": lambda p: (p / "train" / "0.png").rename(p / "test" / "9.png"),
}


@pytest.mark.parametrize("change", CHANGED)
def test_a_study_of_changed_images_is_refused(
    change: str, own_images: Path, pictures: Path, tmp_path: Path, checkerscope: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert checkerscope("run", own_images, "--set", "grid.seed=[0]") == 0
    CHANGED[change](pictures)
    forget()
    assert checkerscope("run", own_images) == 2
    shown = capsys.readouterr().err
    assert f"images: folder {pictures}: expected the images that " in shown
    assert "put them back or choose another folder with --results" in shown
    assert len(Store(tmp_path / "results", "tiny").runs()) == 1
    assert checkerscope("measure", own_images) == 3
    assert "its images have changed since it was trained" in capsys.readouterr().err


def test_renamed_images_are_the_same(own_images: Path, pictures: Path, checkerscope: Command) -> None:
    assert checkerscope("run", own_images, "--set", "grid.seed=[0]") == 0
    (pictures / "train" / "0.png").rename(pictures / "train" / "z.png")
    forget()
    assert checkerscope("run", own_images) == 0


def test_runs_of_different_images_reach_no_table(
    own_images: Path, pictures: Path, tmp_path: Path, checkerscope: Command
) -> None:
    """As when two machines, each with a folder of its own, work on one study."""
    assert checkerscope("run", own_images, "--set", "grid.seed=[0]") == 0
    shutil.move(tmp_path / "results" / "tiny" / "runs", tmp_path / "elsewhere")
    CHANGED["edited"](pictures)
    forget()
    assert checkerscope("run", own_images, "--set", "grid.seed=[1]") == 0
    (other,) = (tmp_path / "elsewhere").iterdir()
    shutil.move(other, tmp_path / "results" / "tiny" / "runs")
    with pytest.raises(StoreError, match="were trained on different images of"):
        collect.collect(Grid(config.read(own_images), "tiny"), Store(tmp_path / "results", "tiny"))


def test_images_that_change_while_they_are_read_are_refused(
    own_images: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = catalog.load("checkerscope.toolkit.images", "folder")
    load = source.load

    def disturbed(*arguments: Any, **options: Any) -> Any:
        images = load(*arguments, **options)
        CHANGED["edited"](pictures)
        return images

    monkeypatch.setattr(source, "load", disturbed)
    run = next(iter(Grid(config.read(own_images), "tiny")))
    with pytest.raises(ValueError, match="images: folder: expected files that stay as they are"):
        build.data(run.spec, "train")


@pytest.mark.parametrize("name", catalog.names("checkerscope.toolkit.images"))
def test_every_source_has_a_fingerprint(name: str) -> None:
    source = catalog.load("checkerscope.toolkit.images", name)
    if not hasattr(source, "NEEDS"):
        assert source.fingerprint() == source.fingerprint()
        assert len(source.fingerprint()) == 64
    assert callable(source.fingerprint)


def test_a_source_without_a_fingerprint_is_refused(own_images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(catalog.load("checkerscope.toolkit.images", "folder"), "fingerprint")
    run = next(iter(Grid(config.read(own_images), "tiny")))
    with pytest.raises(ValueError, match=r"images: folder: expected a function fingerprint"):
        build.data(run.spec, "train")


@pytest.fixture
def inverted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Negatives under the names of the photographs, as another version of scikit-image might bring them."""
    photos = catalog.load("checkerscope.toolkit.images", "photos")
    decoded = photos._decoded
    monkeypatch.setattr(photos, "_decoded", lambda photograph: 255 - decoded(photograph))
    forget()
    yield
    forget()


@pytest.mark.usefixtures("inverted")
@pytest.mark.parametrize("options", [("--strict",), ("--set", "grid.seed=[0, 1, 2]")])
def test_other_photographs_of_a_package_are_refused(
    options: tuple[str, ...], tiny: Path, results: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checkerscope("run", tiny, *options) == 2
    assert "images: photos: expected the images that " in capsys.readouterr().err
    assert len(Store(results, "tiny").runs()) == 4
    (results / "tiny" / "measures" / Store(results, "tiny").runs()[0] / "tone.json").unlink()
    assert checkerscope("measure", tiny) == 3
    assert "its images have changed since it was trained" in capsys.readouterr().err


@pytest.mark.usefixtures("inverted")
def test_runs_that_recorded_no_photographs_are_compared_with_none(
    tiny: Path, results: Path, checkerscope: Command
) -> None:
    """Version 0.1.0 recorded the user's own images only."""
    for path in results.rglob("run.json"):
        body = json.loads(path.read_bytes())["body"]
        path.write_bytes(sealed({key: value for key, value in body.items() if key != "source"}))
    assert checkerscope("run", tiny) == 0
    assert len(Store(results, "tiny").runs()) == 4


# code, versions, threads


CONDITIONS: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "threads": ({}, ("--threads", "2"), "4 of 4 finished runs were made with threads 1, now 2"),
    "torch": ({"torch": "9.9"}, (), "4 of 4 finished runs were made with torch 2"),
    "machine": ({"processor": "Z80"}, (), "4 of 4 finished runs were made with processor "),
    "images": ({"scikit-image": "0.1"}, (), "4 of 4 finished runs were made with scikit-image "),
    "decoder": ({"pillow": "0.1"}, (), "4 of 4 finished runs were made with pillow "),
    "arithmetic": ({"numpy": "0.1"}, (), "4 of 4 finished runs were made with numpy "),
    "instructions": (
        {"instructions": "ONEDNN_MAX_CPU_ISA=SSE41"},
        (),
        "4 of 4 finished runs were made with instructions none, now ONEDNN_MAX_CPU_ISA=SSE41",
    ),
}


@pytest.mark.parametrize("what", CONDITIONS)
def test_other_conditions_are_said_and_refused_by_strict(
    what: str, tiny: Path, results: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    changed, options, line = CONDITIONS[what]
    conditions = provenance.conditions
    monkeypatch.setattr(provenance, "conditions", lambda device: {**conditions(device), **changed})
    assert checkerscope("run", tiny, "--strict", *options) == 2
    shown = capsys.readouterr().err
    assert f"error: {line}" in shown
    assert "--strict: expected the same; choose other --results, or leave it out" in shown
    assert checkerscope("run", tiny, "--set", "grid.seed=[0, 1, 2]", *options) == 0
    assert f"warning: {line}" in capsys.readouterr().err
    assert len(Store(results, "tiny").runs()) == 6


def test_instructions_that_the_user_limits_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in provenance.INSTRUCTIONS:
        monkeypatch.delenv(name, raising=False)
    assert provenance.instructions() == ""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "all")
    assert provenance.instructions() == "", "which is the default"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2")
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert provenance.conditions("cpu")["instructions"] == "ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=COMPATIBLE"


def test_what_version_0_1_did_not_record_is_not_held_against_a_run(
    tiny: Path, results: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in results.glob("tiny/runs/*/environment.json"):
        body = json.loads(path.read_text())["body"]
        body["packages"] = {**body["packages"], "numpy": body["numpy"]}
        for name in ("numpy", *provenance.SINCE_0_2):
            del body[name]
        del body["packages"]["pillow"]
        path.write_bytes(sealed(body))
    assert checkerscope("run", tiny, "--strict") == 0
    assert "warning" not in capsys.readouterr().err


def test_other_code_is_said_and_refused_by_strict(
    tiny: Path, results: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert checkerscope("run", tiny, "--strict") == 0, "nothing has changed"
    monkeypatch.setattr(source_code, "training_code", lambda spec, *engine: "other")
    capsys.readouterr()
    assert checkerscope("run", tiny, "--strict") == 2
    assert ", now other" in capsys.readouterr().err


def test_a_changed_config_gets_runs_of_its_own_and_the_difference_is_named(
    tiny: Path, results: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in results.rglob("run.json")}
    assert checkerscope("status", tiny, "--set", "train.learning_rate=5e-3", "--set", "train.steps=9") == 0
    assert capsys.readouterr().out == (
        "tiny: 0 done, 4 missing of 4 runs; 4 stored runs belong to another config: train.learning_rate, train.steps"
        " differs\n"
    )
    assert {path: path.read_bytes() for path in results.rglob("run.json")} == before


# what other versions wrote


def test_a_store_of_another_format_is_refused_and_left_alone(
    tiny: Path, results: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = sorted(results.rglob("run.json"))[0]
    body = {**json.loads(manifest.read_bytes())["body"], "format": 2}
    manifest.write_bytes(sealed(body))
    before = {path: path.read_bytes() for path in manifest.parent.iterdir()}
    assert checkerscope("run", tiny) == 1
    assert "run.json: format 2, this version reads 1; use the version that wrote it" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in manifest.parent.iterdir()} == before


STORE_0_1 = Path(__file__).parents[1] / "store" / "fixtures" / "format-1"


def test_a_store_of_version_0_1_is_read(tmp_path: Path) -> None:
    """The committed results of one run, as version 0.1.0 wrote them: later versions must read or refuse them."""
    from checkerscope.experiments.store.verify import verify_folder

    checked, problems = verify_folder(STORE_0_1)
    assert problems == []
    assert checked >= 9
    store = Store(STORE_0_1, "tiny")
    (run,) = store.runs()
    assert store.is_finished(run)
    assert digest(store.load(run, "spec.json"))[:12] == run
    assert store.record(run)["status"] == "done"
    body, _ = store.load_measure(run, "tone") or ({}, {})
    assert body["values"]["2"]["tone.residual_rms"] == collect_value("tone.residual_rms")


def collect_value(metric: str) -> float:
    values = load_records(STORE_0_1 / "tiny" / "records").values
    return float(values[(values["metric"] == metric) & (values["step"] == 2)]["value"].iloc[0])


# odd folders


def test_a_link_to_a_results_folder_is_followed(tiny: Path, tmp_path: Path, checkerscope: Command) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "elsewhere")
    assert checkerscope("run", tiny, "--set", "grid.seed=[0]", "--set", "train.steps=1") == 0
    assert len(list((tmp_path / "elsewhere").rglob("run.json"))) == 2


@pytest.mark.parametrize("kind", ["itself", "nowhere"])
def test_a_link_in_a_circle_is_refused(
    kind: str, tiny: Path, tmp_path: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "results"
    link.symlink_to(link if kind == "itself" else tmp_path / "gone" / "far")
    assert checkerscope("run", tiny) == 2
    assert "not writable" in capsys.readouterr().err


#: Modules that unpickle, and that talk to the network.
UNPICKLING = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "yaml"}
NETWORK = {"socket", "urllib", "http", "requests", "pooch", "ftplib", "aiohttp", "httpx"}
#: Calls that run what a file says, unless this keyword stands with them.
SAFE_WITH = {"torch.load": "weights_only=True", "np.load": "allow_pickle=False", "eval": "", "exec": ""}
#: Files that may: the executors of a cluster, and the claim that runs the listings which stand in it.
EXCEPTIONS = {"dask.py": NETWORK, "slurm.py": NETWORK, "_listings.py": {"exec"}}


@pytest.mark.parametrize("folder", ["toolkit", "analysis", "experiments"])
def test_nothing_unpickles_and_nothing_talks_to_the_network(folder: str) -> None:
    """Read from the syntax trees of all source files."""
    for path in sorted((Path(__file__).resolve().parents[3] / folder).rglob("*.py")):
        found: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
            elif isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in SAFE_WITH:
                safe = SAFE_WITH[called] in [ast.unparse(keyword) for keyword in node.keywords]
                found |= set() if safe else {called}
        bad = found & (UNPICKLING | NETWORK | set(SAFE_WITH)) - EXCEPTIONS.get(path.name, set())
        assert not bad, f"{path}: {bad}"


def test_an_empty_store_of_a_hundred_million_runs_is_answered_at_once(
    tiny: Path, tmp_path: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    values = str(list(range(500)))
    text = tiny.read_text().replace(
        "seed = [0, 1]", f'seed = {values}\n"train.steps" = {values}\n"images.seed" = {values}'
    )
    tiny.write_text(text)
    began = time.process_time()
    assert checkerscope("measure", tiny) == 2
    assert "no finished run to measure" in capsys.readouterr().err
    assert checkerscope("collect", tiny) == 1
    assert "no finished run to collect" in capsys.readouterr().err
    assert checkerscope("status", tiny) == 0
    assert "0 done, 250000000 missing of 250000000 runs" in capsys.readouterr().out
    assert time.process_time() - began < 10
