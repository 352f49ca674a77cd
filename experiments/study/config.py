"""Reads a study's TOML file into frozen models; the spec of a run is in `spec.py`.

Errors name the key, what was expected and what came; all of them are reported, not only the first.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationError, field_validator, model_validator

from checkerscope.experiments.study.spec import LARGEST, Model
from checkerscope.toolkit import catalog

#: A config is a page of text; anything larger is a mistake or an attack, and is refused before it is parsed.
MAX_BYTES = 256 * 1024
#: Names of folders with a meaning of their own, in results and in paper/data.
RESERVED = ("runs", "work", "measures", "records", "claims", "metric_audit", "calibration", "manuscript", "catalog")
IDENTIFIER = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class ConfigError(ValueError):
    """The config cannot be used; the message has one line per problem."""


class Measuring(Model):
    """What is measured of every kept step; none of it changes the training.

    `costs` adds times and memory to the records (machine.csv), which no two machines give alike.
    """

    measures: tuple[str, ...]
    images: int = Field(default=32, ge=1, le=100_000)
    margin: int = Field(default=16, ge=0, le=1024)
    costs: bool = False

    @property
    def asked(self) -> dict[str, int]:
        """What a measured number depends on besides the run and the code."""
        return {"images": self.images, "margin": self.margin}

    @field_validator("measures")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
        if twice is not None:
            raise ValueError(f"expected each measure once, got {twice!r} twice; leave one out")
        return names

    @model_validator(mode="after")
    def _measures_exist(self) -> Measuring:
        for name in self.measures:
            catalog.find("checkerscope.analysis.measures", name)
        return self


def _one_line(text: str) -> str:
    if not text.isprintable() or not 0 < len(text) <= 500:
        raise ValueError(f"expected one line of 1 to 500 printable characters, got {text[:80]!r}")
    return text


def _free(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"expected a name that is not one of {', '.join(RESERVED)}, got {name!r}; choose another name")
    return name


class StudySpec(Model):
    """Name and purpose of a study; `title` and `authors` stand on its report."""

    name: Annotated[str, Field(pattern=IDENTIFIER), AfterValidator(_free)]
    question: Annotated[str, AfterValidator(_one_line)]
    title: Annotated[str, AfterValidator(_one_line)] | None = None
    authors: tuple[Annotated[str, AfterValidator(_one_line)], ...] = ()


Values = Annotated[tuple[Any, ...], Field(min_length=1)]


class Config(Model):
    """A study file. `base` sections hold what all runs share; `[grid]` lists what varies, by dotted key."""

    study: StudySpec
    images: dict[str, Any]
    network: dict[str, Any]
    scale: int = 2
    train: dict[str, Any]
    measure: Measuring
    grid: dict[str, Values]
    exclude: tuple[dict[str, Any], ...] = ()


def read(path: Path, overrides: tuple[str, ...] = ()) -> Config:
    """Return the validated config of a TOML file, with `key=value` overrides applied first.

    Raises:
        ConfigError: With one line per problem, each naming the file and the key.
    """
    raw = _parse(path)
    for text in overrides:
        override(raw, text)
    return validate(Config, raw, str(path))


def validate(model: type[Any], raw: Any, where: str) -> Any:
    """Return `raw` as `model`.

    Raises:
        ConfigError: With one line per problem.
    """
    try:
        # through JSON: TOML arrays become tuples, while every scalar keeps its strict type
        text = json.dumps(raw)
    except RecursionError:
        raise ConfigError(f"{where}: expected a few levels of sections, got too many to be written out") from None
    except (TypeError, ValueError):
        raise ConfigError("\n".join(f"{where}: {line}" for line in _unheard_of(raw))) from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{where}: {_line(item, model)}" for item in error.errors())) from None


def _unheard_of(value: Any, key: str = "") -> Iterator[str]:
    """Yield a line for all that TOML knows and JSON does not: dates, and integers too long to be written out."""
    if isinstance(value, dict | list | tuple):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _unheard_of(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, int) and abs(value) >= LARGEST:
        yield f"{key}: expected an integer of 64 bits, got one of {value.bit_length()} bits"
    elif not isinstance(value, str | int | float | None):
        kind = type(value).__name__
        yield f"{key}: expected text, a number, a list or a table, got {kind} {value}; quote it"


def _parse(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a TOML file") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: expected at most {MAX_BYTES} bytes, got more")
    if data.startswith(b"\xef\xbb\xbf"):
        raise ConfigError(f"{path}: expected plain UTF-8, got a byte order mark; save it without one")
    try:
        raw = tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected UTF-8, got byte {data[error.start]:#04x} at {error.start}") from None
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error or 'nested too deeply'}") from None
    if not raw:
        raise ConfigError(f"{path}: expected a study, got an empty file; see configs/smoke.toml")
    return raw


def override(raw: dict[str, Any], text: str) -> None:
    """Set what a `key=value` says, a value of TOML or a bare word, in place.

    Raises:
        ConfigError: If it says no such thing.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"--set {text}: expected key=value, for example train.steps=100")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # what is no UTF-8 on the command line arrives as a surrogate
        raise ConfigError(f"--set {key}: expected UTF-8, got byte {ord(text[error.start]) & 0xFF:#04x}") from None
    try:
        parsed, *others = tomllib.loads(f"value = {value}").values()
    except (RecursionError, tomllib.TOMLDecodeError):
        parsed, others = value, []  # a bare word is a string
    except ValueError as error:
        raise ConfigError(f"--set {key}: not valid TOML: {error}") from None
    if others:
        raise ConfigError(f"--set {key}: expected one value, got several lines")
    section, dot, factor = key.partition(".")
    merge(raw, (section, factor) if dot and section == "grid" else tuple(key.split(".")), parsed, f"--set {key}")


def merge(tree: dict[str, Any], keys: tuple[str, ...], value: Any, where: str) -> None:
    """Set `tree[a][b][c]` for the keys `a`, `b`, `c`, in place.

    Raises:
        ConfigError: If one of them but the last holds something else than a section.
    """
    *parents, last = keys
    for number, parent in enumerate(parents, 1):
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            path = ".".join(keys[:number])
            raise ConfigError(f"{where}: expected {path} to be a section, got {str(tree)[:40]!r}; set {path} itself")
    tree[last] = value


def _line(item: Any, model: type[BaseModel]) -> str:
    key = ".".join(map(str, item["loc"])) or "file"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key{_suggest(str(item['loc'][-1]), item['loc'][:-1], model)}"
    if item["type"] == "missing":
        return f"{key}: missing; expected a value"
    message = item["msg"].removeprefix("Value error, ")
    got = "" if item["type"] == "value_error" else f", got {str(item['input'])[:80]!r}"
    return f"{key}: {message[0].lower()}{message[1:]}{got}"


def _suggest(key: str, parents: tuple[Any, ...], model: type[BaseModel]) -> str:
    current: Any = model
    for parent in parents:
        known = getattr(current, "model_fields", {})
        current = known[parent].annotation if parent in known else None
    fields = list(getattr(current, "model_fields", {}))
    near = difflib.get_close_matches(key, fields, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(fields)}" if fields else ""
