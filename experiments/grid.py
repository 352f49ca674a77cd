"""From a config to its runs: factors, exclusions, arms. Counting is arithmetic; nothing is enumerated to be counted."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from experiments.config import NO_CURE, Config, ConfigError, RunSpec, merge, validate
from toolkit import catalog

REQUIRED = ("seed", "upsampler", "initializer")


@dataclass(frozen=True)
class Run:
    """One run of a study: its spec, the arm that it belongs to (everything but the seed) and its factors."""

    spec: RunSpec
    arm: str
    factors: dict[str, Any]


class Grid:
    """The product of a config's factors, less its exclusions.

    Every factor value is validated on its own, with the others at their first value; so a mistake is found whatever
    the size of the product.

    Raises:
        ConfigError: If a factor is missing or unknown, a value is wrong, an exclusion matches nothing, or an
            initialization does not fit an upsampler that it is paired with.
    """

    def __init__(self, config: Config, where: str) -> None:
        self.config, self.where = config, where
        for key in REQUIRED:
            if key not in config.grid:
                raise ConfigError(f"{where}: grid.{key}: missing; expected a list of values")
        self.factors: dict[str, tuple[Any, ...]] = {key: tuple(values) for key, values in config.grid.items()}
        self._base = {"images": config.images, "network": config.network, "scale": config.scale, "train": config.train}
        self._validate_values()
        self._referenced = tuple(dict.fromkeys(key for rule in config.exclude for key in rule))
        self._validate_exclusions()
        self._validate_pairs()

    def __len__(self) -> int:
        free = prod(len(values) for key, values in self.factors.items() if key not in self._referenced)
        kept = sum(1 for chosen in self._product(self._referenced) if not self._excluded(chosen))
        return free * kept

    def __iter__(self) -> Iterator[Run]:
        """Yield every run, arm by arm in config order, seeds innermost."""
        return self.every(1)

    def every(self, step: int, *, first: int = 0) -> Iterator[Run]:
        """Yield every `step`-th run from number `first` on; those between are not even validated."""
        order = (*(key for key in self.factors if key != "seed"), "seed")
        kept = (chosen for chosen in self._product(order) if not self._excluded(chosen))
        before: Run | None = None
        for chosen in itertools.islice(kept, first, None, step):
            seed = chosen.pop("seed")
            if before is None or before.factors != chosen:
                before = Run(self._spec({**chosen, "seed": seed}), self.label(chosen), chosen)
            # every seed was validated with the first arm, and every arm is with its first seed
            yield Run(before.spec.model_copy(update={"seed": seed}), before.arm, chosen)

    def label(self, chosen: dict[str, Any]) -> str:
        """Return an arm's name: the labels of its components, then every other factor that varies."""
        parts = [component_label("toolkit.upsamplers", chosen["upsampler"])]
        if len(self.factors["initializer"]) > 1:
            parts.append(component_label("toolkit.initializers", chosen["initializer"]))
        if chosen.get("cure", NO_CURE) != NO_CURE:
            parts.append(component_label("toolkit.remedies", chosen["cure"]))
        for key, values in self.factors.items():
            if key not in (*REQUIRED, "cure") and len(values) > 1:
                parts.append(f"{key.rpartition('.')[2].replace('_', ' ')} {_plain(chosen[key])}")
        return ", ".join(parts)

    def _product(self, keys: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        for values in itertools.product(*(self.factors[key] for key in keys)):
            yield dict(zip(keys, values, strict=True))

    def _excluded(self, chosen: dict[str, Any]) -> bool:
        return any(
            all(key in chosen and matches(chosen[key], wanted) for key, wanted in rule.items())
            for rule in self.config.exclude
        )

    def _spec(self, chosen: dict[str, Any]) -> RunSpec:
        raw = copy.deepcopy(self._base)
        for key, value in chosen.items():
            merge(raw, key, value)
        return validate(RunSpec, raw, self.where)

    def _validate_values(self) -> None:
        first = {key: values[0] for key, values in self.factors.items()}
        for key in self.factors:
            if key.split(".")[0] not in RunSpec.model_fields:
                raise ConfigError(f"{self.where}: grid.{key}: unknown; {catalog.closest(key, RunSpec.model_fields)}")
        for key, values in self.factors.items():
            ids = {self._spec({**first, key: value}).id for value in values}
            if len(ids) < len(values):
                raise ConfigError(f"{self.where}: grid.{key}: expected different values, got one twice")

    def _validate_exclusions(self) -> None:
        for number, rule in enumerate(self.config.exclude):
            for key, wanted in rule.items():
                if key not in self.factors:
                    raise ConfigError(f"{self.where}: exclude.{number}: {key} is no factor of the grid")
                for item in wanted if isinstance(wanted, list) else [wanted]:
                    if not any(matches(value, item) for value in self.factors[key]):
                        raise ConfigError(f"{self.where}: exclude.{number}: no value of {key} matches {item!r}")

    def _validate_pairs(self) -> None:
        for chosen in self._product(("upsampler", "initializer")):
            if self._excluded(chosen):
                continue
            upsampler = catalog.describe_one("toolkit.upsamplers", name_of(chosen["upsampler"]))
            initializer = catalog.describe_one("toolkit.initializers", name_of(chosen["initializer"]))
            wrong = set(upsampler.flags.get("layouts", ())) - set(initializer.flags.get("layouts", ()))
            if wrong:
                raise ConfigError(
                    f"{self.where}: {initializer.name} cannot initialize {upsampler.name}: expected a kernel of layout"
                    f" {' or '.join(initializer.flags.get('layouts', ()))}, got {' and '.join(sorted(wrong))};"
                    " list the pair under [[exclude]]"
                )


def name_of(component: Any) -> str:
    """Return the name in a component's config value, a string or a table with `name`."""
    return str(component["name"]) if isinstance(component, dict) else str(component)


def matches(value: Any, wanted: Any) -> bool:
    """Return whether a factor's value is meant by an exclusion: equal, named, one of a list, or a table's subset."""
    if isinstance(wanted, list):
        return any(matches(value, item) for item in wanted)
    if isinstance(wanted, dict) and isinstance(value, dict):
        return all(value.get(key) == part for key, part in wanted.items())
    return value == wanted or (isinstance(value, dict) and value.get("name") == wanted)


def component_label(package: str, component: Any) -> str:
    """Return a component's label with the options that the config spells out, kernel sizes as k4."""
    label = catalog.describe_one(package, name_of(component)).label
    options = {k: v for k, v in component.items() if k != "name"} if isinstance(component, dict) else {}
    words = [f"k{v}" if k == "kernel_size" else f"{k.replace('_', ' ')} {_plain(v)}" for k, v in options.items()]
    return " ".join([label, *words])


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return name_of(value) if isinstance(value, dict) else str(value)
