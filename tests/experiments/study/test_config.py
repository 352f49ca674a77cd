"""Bad configs: exit 2, one line per problem that names file, key and remedy, and never a traceback."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from checkerscope.experiments.__main__ import run
from checkerscope.experiments.study import config
from checkerscope.experiments.study.config import ConfigError
from checkerscope.experiments.study.grid import Grid
from checkerscope.experiments.study.spec import RunSpec

GOOD = """
scale = 2
[study]
name = "good"
question = "Is this config good?"
[images]
source = "photos"
size = 64
[network]
name = "autoencoder"
width = 4
[train]
steps = 10
batch_size = 4
learning_rate = 1e-3
[measure]
measures = ["tone"]
[grid]
upsampler = ["nearest_conv", {name = "transposed_conv", kernel_size = 4}]
initializer = ["default"]
seed = [0, 1]
"""


def swap(old: str, new: str) -> Callable[[str], bytes]:
    def edit(text: str) -> bytes:
        assert old in text
        return text.replace(old, new).encode()

    return edit


def add(text: str) -> Callable[[str], bytes]:
    return lambda good: (good + text).encode()


BAD: dict[str, tuple[Callable[[str], bytes], str]] = {
    # the file
    "empty": (lambda t: b"", "expected a study, got an empty file; see configs/smoke.toml"),
    "only a comment": (lambda t: b"# nothing\n", "got an empty file"),
    "10 MB": (lambda t: b"#" * 10_000_000, "expected at most 262144 bytes, got more"),
    "byte order mark": (lambda t: b"\xef\xbb\xbf" + t.encode(), "expected plain UTF-8, got a byte order mark"),
    "accents are no fault": (swap("Is this", "Pr\u00fcft das"), ""),
    "not UTF-8": (lambda t: t.encode() + b"# \xfc\n", r"expected UTF-8, got byte 0xfc at \d+"),
    "UTF-16": (lambda t: t.encode("utf-16"), "expected UTF-8, got byte 0xff at 0"),
    "deeply nested": (lambda t: b"a = " + b"[" * 5000, "not valid TOML"),
    "binary": (lambda t: bytes(range(1, 128)), "not valid TOML: .*line 1"),
    # the syntax, with its line
    "open header": (swap("[grid]", "[grid"), r"not valid TOML: .*\(at line 18, column 6\)"),
    "key twice": (swap("width = 4", "width = 4\nwidth = 5"), r"not valid TOML: .*line 12"),
    "table twice": (add("[grid]\n"), "not valid TOML: Cannot declare .*line 22"),
    "leading zero": (swap("size = 64", "size = 064"), "not valid TOML: .*line 8"),
    "bare word": (swap("size = 64", "size = on"), "not valid TOML: .*line 8"),
    "sexagesimal": (swap("size = 64", "size = 1:30"), "not valid TOML: .*line 8"),
    "5000 digits": (swap("size = 64", "size = " + "9" * 5000), "not valid TOML: .*4300 digits"),
    "YAML": (lambda t: b"study:\n  name: x\n", "not valid TOML: .*line 1"),
    "control character": (swap("Is this", "Is \x07 this"), "not valid TOML: .*line 5"),
    # keys
    "misspelt section": (swap("[measure]", "[mesure]"), "mesure: unknown key; did you mean 'measure'"),
    "misspelt key": (swap("steps =", "stepz ="), "train.stepz: unknown key; did you mean 'steps'"),
    "missing key": (swap("steps = 10", ""), "train.steps: missing; expected a value"),
    "missing section": (swap('[study]\nname = "good"\nquestion = "Is this config good?"', ""), "study: missing"),
    "missing factor": (swap("seed = [0, 1]", ""), "grid.seed: missing; expected a list of values"),
    "unknown factor": (add('sead = [1]\n"train.steps" = [1]\n'), "grid.sead: unknown; did you mean 'seed'"),
    "unknown nested factor": (add('"train.stepz" = [1]\n'), "train.stepz: unknown key; did you mean 'steps'"),
    "odd option": (swap("width = 4", "widht = 4"), "autoencoder has no option 'widht'; did you mean 'width'"),
    "odd key": (add('"\\u0000" = [1]\n'), r"grid\.\S*: unknown"),
    # types and ranges
    "text for a number": (swap("steps = 10", 'steps = "10"'), "train.steps: input should be a valid integer, got '10'"),
    "fraction": (swap("steps = 10", "steps = 10.5"), "train.steps: input should be a valid integer"),
    "truth for a number": (swap("steps = 10", "steps = true"), "train.steps: input should be a valid integer"),
    "number for text": (swap('"good"', "3"), "study.name: input should be a valid string, got '3'"),
    "date for text": (swap('"Is this config good?"', "1979-05-27"), "study.question: .*got date 1979-05-27; quote it"),
    "list for a section": (swap("[images]", "[[images]]"), "images: input should be an object"),
    "number for a list": (swap("seed = [0, 1]", "seed = 3"), "grid.seed: input should be a valid array, got '3'"),
    "nan": (swap("1e-3", "nan"), "train.learning_rate: input should be a finite number, got 'nan'"),
    "inf": (swap("1e-3", "inf"), "train.learning_rate: input should be a finite number, got 'inf'"),
    "negative": (swap("1e-3", "-1e-3"), "train.learning_rate: input should be greater than 0, got '-0.001'"),
    "huge": (swap("size = 64", "size = 99999999999999999999"), "images.size: input should be less than"),
    "huge seed": (swap("size = 64", "size = 64\nseed = 9223372036854775808"), "images.seed: input should be less than"),
    "huge option": (
        swap("width = 4", "width = 9223372036854775808"),
        "network: autoencoder: width: expected an integer of",
    ),
    "20000 bits": (
        swap("size = 64", "size = 0x" + "f" * 5000),
        "images.size: expected an integer of 64 bits, got one of",
    ),
    "late snapshot": (swap("steps = 10", "steps = 10\nsnapshots = [11]"), "snapshots: expected steps up to 10, got 11"),
    "empty list": (swap("seed = [0, 1]", "seed = []"), "grid.seed: .*at least 1 item"),
    "value twice": (swap("seed = [0, 1]", "seed = [1, 1]"), "grid.seed: expected different values, got one twice"),
    "arm twice": (swap('"nearest_conv",', '"nearest_conv", {name = "nearest_conv"},'), "grid.upsampler: .*one twice"),
    "measure twice": (
        swap('["tone"]', '["tone", "tone"]'),
        "measure.measures: expected each measure once, got 'tone' t",
    ),
    "negative seed": (swap("seed = [0, 1]", "seed = [-1]"), "seed: input should be greater than or equal to 0"),
    # names
    "taken name": (swap('"good"', '"runs"'), "study.name: expected a name that is not one of runs, work,"),
    "path as name": (swap('"good"', '"../good"'), "study.name: string should match pattern"),
    "absolute name": (swap('"good"', '"/tmp/good"'), "study.name: string should match pattern"),
    "option as name": (swap('"good"', '"-rf"'), "study.name: string should match pattern"),
    "newline in name": (swap('"good"', '"good\\n"'), "study.name: string should match pattern"),
    "NUL in name": (swap('"good"', '"go\\u0000od"'), "study.name: string should match pattern"),
    "long name": (swap('"good"', '"' + "a" * 300 + '"'), "study.name: string should match pattern"),
    "accent in name": (swap('"good"', '"caf\u00e9"'), "study.name: string should match pattern"),
    "lines in question": (
        swap("Is this", "Is\\nthis"),
        "question: expected one line of 1 to 500 printable",
    ),
    "path as component": (swap('"nearest_conv"', '"../nearest"'), "upsamplers: there is no '../nearest'"),
    "module as component": (swap('"nearest_conv"', '"os.path"'), "upsamplers: there is no 'os.path'"),
    # components
    "unknown upsampler": (swap('"nearest_conv"', '"nearst_conv"'), "there is no 'nearst_conv'; did you mean 'nearest_"),
    "unknown initializer": (swap('"default"', '"defualt"'), "there is no 'defualt'; did you mean 'default'"),
    "unknown source": (swap('"photos"', '"fotos"'), "images: there is no 'fotos'; did you mean 'photos'"),
    "unknown network": (swap('"autoencoder"', '"autoencodr"'), "there is no 'autoencodr'; did you mean 'autoencoder'"),
    "unknown measure": (swap('["tone"]', '["tune"]'), "measures: there is no 'tune'; did you mean 'tone'"),
    "unknown option": (swap("kernel_size", "kernelsize"), "has no option 'kernelsize'; did you mean 'kernel_size'"),
    "number as component": (swap('"nearest_conv"', "3"), "upsampler: expected a name, or a table with name .*got '3'"),
    "nameless component": (swap('name = "transposed_conv", ', ""), "upsampler: expected a name, or a table with name"),
    # pairs and exclusions
    "impossible pair": (swap('"default"', '"icnr"'), r"icnr cannot initialize nearest_conv: .*\[\[exclude\]\]"),
    "idle exclusion": (add('[[exclude]]\nupsampler = "bilinear"\n'), "exclude.0: no value of upsampler matches 'bilin"),
    "empty exclusion": (add("[[exclude]]\n"), "exclude.0: expected factors and values, got an empty rule"),
    "exclusion of no value": (add("[[exclude]]\nseed = []\n"), "exclude.0.seed: expected a value or several, got none"),
    "no run left": (add("[[exclude]]\nseed = [0, 1]\n"), "exclude: expected rules that leave a run, got none left"),
    "factor within a value": (add('"scale.x" = [1]\n'), "grid.scale.x: expected scale to be a section, got '2'"),
    "exclusion of no factor": (add("[[exclude]]\nscale = 3\n"), "exclude.0: scale is no factor of the grid"),
}


def dry_run(path: Path, *options: str) -> int:
    return run(["run", str(path), "--dry-run", *options])


def test_the_good_config_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good.toml").write_text(GOOD)
    assert dry_run(tmp_path / "good.toml") == 0
    assert capsys.readouterr().out.startswith("good: 4 runs (2 upsampler x 1 initializer x 2 seed")


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_config_is_refused(fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit, message = BAD[fault]
    path = tmp_path / "bad.toml"
    path.write_bytes(edit(GOOD))
    began = time.monotonic()
    assert dry_run(path) == (2 if message else 0)
    assert time.monotonic() - began < 20  # milliseconds, unless something explodes
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert all(line.startswith("error: ") and len(line) < 1500 for line in lines)
    if message:
        assert not out
        with pytest.raises(ConfigError, match=message):
            raise ConfigError(err)
        assert all(line.startswith(f"error: {path}: ") for line in lines)


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace("steps = 10", 'steps = "x"').replace("size = 64", "size = 0").replace("width", "w"))
    with pytest.raises(ConfigError) as caught:
        Grid(config.read(path), str(path))
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == ["images.size", "network", "train.steps"]


@pytest.mark.parametrize(
    ("path", "message"),
    [("nope.toml", "nope.toml: cannot be read .No such file"), ("x" * 300, "cannot be read .File name too long")],
)
def test_a_config_that_cannot_be_read(path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.read(Path(path))


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("train.steps=3", lambda c: c.train["steps"] == 3),
        ("train.learning_rate=2e-4", lambda c: c.train["learning_rate"] == 2e-4),
        ("study.name=other", lambda c: c.study.name == "other"),
        ("study.question=Why so?", lambda c: c.study.question == "Why so?"),
        ("grid.seed=[3, 4]", lambda c: c.grid["seed"] == (3, 4)),
        ("grid.train.batch_size=[3, 4]", lambda c: c.grid.get("train.batch_size") == (3, 4)),
        ("network.final_conv=false", lambda c: c.network.get("final_conv") is False),
        ("images.source={name='photos', images=3}", lambda c: c.images["source"] == {"name": "photos", "images": 3}),
    ],
)
def test_an_override_replaces_one_value(override: str, read: Callable[[config.Config], bool], tmp_path: Path) -> None:
    path = tmp_path / "good.toml"
    path.write_text(GOOD)
    changed = config.read(path, (override,))
    assert read(changed)
    assert not read(config.read(path))
    Grid(changed, str(path))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("steps", "--set steps: expected key=value, for example train.steps=100"),
        ("=3", "--set =3: expected key=value"),
        ("train.stepz=3", "train.stepz: unknown key; did you mean 'steps'"),
        (
            "train.steps.x=3",
            "--set train.steps.x: expected train.steps to be a section, got '10'; set train.steps itself",
        ),
        ("scale.x=3", "--set scale.x: expected scale to be a section, got '2'; set scale itself"),
        ("train.steps=1979-05-27", "train.steps: expected text, a number, .* got date 1979-05-27; quote it"),
        ("train.steps=0x" + "f" * 5000, "train.steps: expected an integer of 64 bits, got one of 20000 bits"),
        ("study.question=\udcff", "--set study.question: expected UTF-8, got byte 0xff"),
        ("train.steps=many", "train.steps: input should be a valid integer, got 'many'"),
        ("train.steps=nan", "train.steps: input should be a valid integer"),
        ("grid.seed=3", "grid.seed: input should be a valid array"),
        ("grid.seed=[1]\nx=3", "--set grid.seed: expected one value, got several lines"),
        ("train.steps=" + "[" * 5000, "train.steps: input should be a valid integer"),
        ("train.steps=" + "9" * 5000, "--set train.steps: not valid TOML: Exceeds the limit"),
    ],
)
def test_a_bad_override_is_refused(override: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "good.toml"
    path.write_text(GOOD)
    with pytest.raises(ConfigError, match=message):
        Grid(config.read(path, (override,)), str(path))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("network.final_conv=False", "network: autoencoder: final_conv: expected true or false, got 'False'; write"),
        ("network.final_conv=no", "network: autoencoder: final_conv: expected true or false, got 'no'; write"),
        (
            "network.downsampling=average",
            "network: autoencoder: downsampling: expected one of 'max_pool', 'strided', got 'average'",
        ),
        ("network.width=8.5", "network: autoencoder: width: expected an integer, got 8.5"),
        (
            'images.source={name = "folder", path = "p", skip_unusable = "false"}',
            "images.source: folder: skip_unusable: expected true or false, got 'false'; write",
        ),
        (
            'grid.upsampler=[{name = "transposed_conv", bias = "no"}]',
            "upsampler: transposed_conv: bias: expected true or false, got 'no'; write",
        ),
        (
            'grid.initializer=[{name = "constant", value = "much"}]',
            "initializer: constant: value: expected a number, got 'much'",
        ),
        (
            'grid.cure=["none", {name = "equal_gain", keep = 1}]',
            "cure: equal_gain: keep: expected true or false, got 1",
        ),
        (
            'grid.cure=["none", {name = "self_distil", inputs = "mine"}]',
            "cure: self_distil: inputs: expected Tensor, got 'mine'",
        ),
    ],
)
def test_an_option_of_another_type_is_refused_before_anything_is_built(
    override: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "good.toml"
    path.write_text(GOOD)
    with pytest.raises(ConfigError) as caught:
        Grid(config.read(path, (override,)), str(path))
    assert f"{path}: {message}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_factor_is_set_only_in_a_grid(tmp_path: Path) -> None:
    path = tmp_path / "good.toml"
    path.write_text(GOOD)
    with pytest.raises(
        ConfigError, match=r"^--set grid\.seed: expected grid to be a section, got '5'; set grid itself$"
    ):
        config.read(path, ("grid=5", "grid.seed=[1]"))


def test_a_written_spec_reads_back_as_itself() -> None:
    raw = tomllib.loads(GOOD)
    base = {key: raw[key] for key in ("images", "network", "scale", "train")}
    spec = config.validate(RunSpec, {**base, "upsampler": "nearest", "initializer": "default", "seed": 1}, "x")
    assert RunSpec.model_validate_json(spec.canonical) == spec
    assert RunSpec.model_validate_json(spec.canonical).id == spec.id


@pytest.mark.parametrize("levels", [300, 5_000, 50_000])
@pytest.mark.parametrize("section", ["train", "images", "network", "study"])
def test_a_key_of_thousands_of_levels_is_one_line(
    section: str, levels: int, tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = ".".join([section, *["a"] * levels])
    assert run(["run", str(tiny), "--results", str(tmp_path), "--dry-run", "--set", f"{key}=1"]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert len(shown.err.splitlines()) == 1
    assert "Traceback" not in shown.err
