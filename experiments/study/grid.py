"""Expands a config into its runs: factors, exclusions, arms. Runs are counted without being enumerated."""

from __future__ import annotations

import copy
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from checkerscope.experiments.study.config import Config, ConfigError, merge, validate
from checkerscope.experiments.study.spec import NO_CURE, RunSpec
from checkerscope.toolkit import catalog

REQUIRED = ("seed", "upsampler", "initializer")
#: Factors whose values are components that are named by their labels.
LABELLED = {
    "upsampler": "checkerscope.toolkit.upsamplers",
    "initializer": "checkerscope.toolkit.initializers",
    "cure": "checkerscope.toolkit.remedies",
}


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
        ConfigError: If a factor is missing or unknown, a value is wrong, two values would have one label, an exclusion
            matches nothing, no run is left, or an initialization does not fit an upsampler that it is paired with.
    """

    def __init__(self, config: Config, where: str) -> None:
        self.config, self.where = config, where
        for key in REQUIRED:
            if key not in config.grid:
                raise ConfigError(f"{where}: grid.{key}: missing; expected a list of values")
        self.factors: dict[str, tuple[Any, ...]] = {key: tuple(values) for key, values in config.grid.items()}
        self._base = {"images": config.images, "network": config.network, "scale": config.scale, "train": config.train}
        self._validate_values()
        #: Labels of values whose plain ones are another value's too, by factor and value.
        self._longer_labels: dict[tuple[str, str], str] = {}
        self._tell_apart()
        self._validate_exclusions()
        self._validate_pairs()

    def __len__(self) -> int:
        """Return the number of runs, by arithmetic: values that the same rules mean are counted together."""
        rules = range(len(self.config.exclude))
        counts = Counter({frozenset(rules): 1})  # of choices, by the rules that all their values match so far
        for key, values in self.factors.items():
            classes = Counter(frozenset(rule for rule in rules if self._allows(rule, key, value)) for value in values)
            combined: Counter[frozenset[int]] = Counter()
            for (left, before), (matched, here) in itertools.product(counts.items(), classes.items()):
                combined[left & matched] += before * here
            counts = combined
        return counts[frozenset()]

    def _allows(self, rule: int, key: str, value: Any) -> bool:
        """Return whether an exclusion may mean runs with this value of a factor."""
        wanted = self.config.exclude[rule]
        return key not in wanted or matches(value, wanted[key])

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

    def among(self, ids: Iterable[str]) -> Iterator[Run]:
        """Yield the runs that have one of some ids or cure a run that has; the search ends when all ids were met."""
        left = set(ids)
        bases_are_runs = NO_CURE in self.factors.get("cure", ())
        for run in self if left else ():
            base = "" if run.spec.base is None else run.spec.base.id
            if run.spec.id in left or base in left:
                left -= {run.spec.id} if bases_are_runs else {run.spec.id, base}
                yield run
            if not left:
                return

    def one_by_one(self) -> Iterator[RunSpec]:
        """Yield the spec of every factor's every value, with the others at their first."""
        first = {key: values[0] for key, values in self.factors.items()}
        for key, values in self.factors.items():
            yield from (self._spec({**first, key: value}) for value in values)

    def label(self, chosen: dict[str, Any]) -> str:
        """Return an arm's name: the labels of its components, then every other factor that varies."""
        parts = [self._text("upsampler", chosen["upsampler"])]
        if len(self.factors["initializer"]) > 1:
            parts.append(self._text("initializer", chosen["initializer"]))
        if chosen.get("cure", NO_CURE) != NO_CURE:
            parts.append(self._text("cure", chosen["cure"]))
        for key, values in self.factors.items():
            if key not in (*REQUIRED, "cure") and len(values) > 1:
                parts.append(f"{_words(key.rpartition('.')[2])} {self._text(key, chosen[key])}")
        return ", ".join(parts)

    def _text(self, key: str, value: Any) -> str:
        """Return what stands for a factor's value in a label."""
        longer = self._longer_labels.get((key, _fixed(value))) if self._longer_labels else None
        return longer or _text(key, value)

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
        # `network` and `network.width` may both be factors: the section first, and a copy of it
        for key, value in sorted(chosen.items(), key=lambda item: item[0].count(".")):
            merge(raw, tuple(key.split(".")), copy.deepcopy(value), f"{self.where}: grid.{key}")
        return validate(RunSpec, raw, self.where)

    def _validate_values(self) -> None:
        for key in self.factors:
            if key.split(".")[0] not in RunSpec.model_fields:
                raise ConfigError(f"{self.where}: grid.{key}: unknown; {catalog.closest(key, RunSpec.model_fields)}")
        specs = self.one_by_one()
        for key, values in self.factors.items():
            ids = {self._with_an_interior(spec).id for spec in itertools.islice(specs, len(values))}
            if len(ids) < len(values):
                raise ConfigError(f"{self.where}: grid.{key}: expected different values, got one twice")

    def _with_an_interior(self, spec: RunSpec) -> RunSpec:
        """Return the spec whose images have pixels left inside the margin that measures crop."""
        margin, size = self.config.measure.margin, spec.images.size
        if 2 * margin >= size:
            raise ConfigError(
                f"{self.where}: measure.margin: expected less than half of images.size = {size}, got {margin};"
                f" use {size // 4}"
            )
        return spec

    def _tell_apart(self) -> None:
        """Make sure that no two values of a factor have one label; by factor, as there may be a million runs."""
        for key, values in self.factors.items():
            alike: dict[str, list[Any]] = {}
            for value in values if key != "seed" else ():
                alike.setdefault(_text(key, value), []).append(value)
            for text, group in alike.items():
                if len(group) > 1:
                    self._longer_labels |= {(key, _fixed(v)): " ".join([text, *_differing(v, group)]) for v in group}
            # the comma joins the parts of a label: where none begins with another one, none can be taken for two
            texts = sorted((f"{self._text(key, value)}, ", str(value)) for group in alike.values() for value in group)
            for (text, value), (other, another) in itertools.pairwise(texts):
                if other.startswith(text):
                    raise ConfigError(
                        f"{self.where}: grid.{key}: expected values whose labels tell them apart, got {text[:-2]!r} for"
                        f" {value[:80]} and {another[:80]}; change a label or leave one out"
                    )

    def _validate_exclusions(self) -> None:
        for number, rule in enumerate(self.config.exclude):
            if not rule:
                raise ConfigError(f"{self.where}: exclude.{number}: expected factors and values, got an empty rule")
            for key, wanted in rule.items():
                if key not in self.factors:
                    raise ConfigError(f"{self.where}: exclude.{number}: {key} is no factor of the grid")
                if wanted == []:
                    raise ConfigError(f"{self.where}: exclude.{number}.{key}: expected a value or several, got none")
                for item in wanted if isinstance(wanted, list) else [wanted]:
                    if not any(matches(value, item) for value in self.factors[key]):
                        raise ConfigError(f"{self.where}: exclude.{number}: no value of {key} matches {item!r}")
        if not len(self):
            raise ConfigError(f"{self.where}: exclude: expected rules that leave a run, got none left; drop a rule")

    def _validate_pairs(self) -> None:
        for chosen in self._product(("upsampler", "initializer")):
            if self._excluded(chosen):
                continue
            upsampler = catalog.describe_one("checkerscope.toolkit.upsamplers", name_of(chosen["upsampler"]))
            initializer = catalog.describe_one("checkerscope.toolkit.initializers", name_of(chosen["initializer"]))
            wrong = set(upsampler.flags.get("layouts", ())) - set(initializer.flags.get("layouts", ()))
            if wrong:
                raise ConfigError(
                    f"{self.where}: {initializer.name} cannot initialize {upsampler.name}: expected a kernel of layout"
                    f" {' or '.join(initializer.flags.get('layouts', ()))}, got {' and '.join(sorted(wrong))};"
                    " list the pair under [[exclude]]"
                )


def name_of(component: Any) -> str:
    """Return the name in a component's config value, a string or a table with `name`; of other tables all they say."""
    if isinstance(component, dict):
        return str(component["name"]) if "name" in component else _full(component)
    return str(component)


def matches(value: Any, wanted: Any) -> bool:
    """Return whether a factor's value is meant by an exclusion: equal, named, one of a list, or a table's subset."""
    if isinstance(wanted, list):
        return any(matches(value, item) for item in wanted)
    if isinstance(wanted, dict) and isinstance(value, dict):
        return all(value.get(key) == part for key, part in wanted.items())
    if isinstance(value, bool) != isinstance(wanted, bool):  # True is 1 to Python
        return False
    return value == wanted or (isinstance(value, dict) and value.get("name") == wanted)


def component_label(package: str, component: Any) -> str:
    """Return a component's label with the options that the config spells out, kernel sizes as k4."""
    label = catalog.describe_one(package, name_of(component)).label
    words = [f"k{v}" if k == "kernel_size" else f"{_words(k)} {_plain(v)}" for k, v in _options(component).items()]
    return " ".join([label, *words])


def _options(component: Any) -> dict[str, Any]:
    """Return the options of a component's config value, which may stand beside the name or under `options`."""
    if not isinstance(component, dict):
        return {}
    nested = component.get("options", {})
    return {**{key: value for key, value in component.items() if key not in ("name", "options")}, **nested}


def _words(key: str) -> str:
    return key.replace("_", " ")


def _text(key: str, value: Any) -> str:
    return component_label(LABELLED[key], value) if key in LABELLED and value != NO_CURE else _plain(value)


def _fixed(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return name_of(value) if isinstance(value, dict) else str(value)


def _full(value: Any) -> str:
    """Return a value with all that is in it."""
    if not isinstance(value, dict):
        return _plain(value)
    name = [str(value["name"])] if "name" in value else []
    return " ".join([*name, *(f"{_words(key)} {_full(part)}" for key, part in _options(value).items())])


def _differing(value: Any, group: list[Any]) -> list[str]:
    """Return what a value says that not all of a group say: options, and the name in brackets."""
    said = [{"name": name_of(each), **_options(each)} for each in group]
    own = {"name": name_of(value), **_options(value)}
    differing = {key: part for key, part in own.items() if any(key not in e or e[key] != part for e in said)}
    name = [f"({differing.pop('name')})"] if "name" in differing else []
    return name + [f"{_words(key)} {_full(part)}" for key, part in differing.items()]
