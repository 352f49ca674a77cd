"""Consistency checks: compares what is about to be made with what is stored, by images, code, versions, config."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.study import provenance, source_code

if TYPE_CHECKING:
    from checkerscope.experiments.execution.training import Place
    from checkerscope.experiments.store.runs import Store
    from checkerscope.experiments.study.grid import Grid, Run
    from checkerscope.experiments.study.spec import RunSpec

#: What an absent or damaged environment says of everything.
UNKNOWN = "unknown"
#: Stored runs of another config that are looked into, to say what is other.
SHOWN = 100


def compare(finished: Sequence[Run], store: Store, place: Place, *, strict: bool) -> list[str]:
    """Return what finished runs were made with that is otherwise now, one line each.

    Raises:
        ValueError: If they saw other images; where `strict`, also for other code, versions, threads or machines.
    """
    from checkerscope.toolkit.training.devices import pick_device

    changed_images(finished, store)
    changes = changed_conditions(finished, store, str(pick_device(place.device)), place.threads)
    if changes and strict:
        raise ValueError("\n".join([*changes, "--strict: expected the same; choose other --results, or leave it out"]))
    return changes


def changed_conditions(runs: Iterable[Run], store: Store, device: str, threads: int) -> list[str]:
    """Return what finished runs were made with that is otherwise now, one line each: code, versions, threads, machine.

    Args:
        runs: Finished runs.
        store: Where they are.
        device: Name of the device now, such as `cpu` or `cuda`.
        threads: Intra-op threads per worker now.
    """
    now = {**provenance.conditions(device), "threads": threads}
    found: Counter[tuple[str, str, str]] = Counter()
    total = 0
    for run in runs:
        total += 1
        beside = store.environment(run.spec.id)
        engine = beside.get("engine", beside.get("executor", "loop"))  # version 0.1 called it so
        present = {**now, "code": source_code.training_code(run.spec, str(engine))}
        for key, value in present.items():
            before = provenance.recorded(beside, key)
            if before is None and beside and key in provenance.SINCE_0_2:
                continue  # it was not recorded then; of a damaged environment nothing is known
            if before != value:
                found[key, str(UNKNOWN if before is None else before), str(value)] += 1
    return [
        f"{count} of {total} finished runs were made with {key} {before or 'none'}, now {value or 'none'}"
        for (key, before, value), count in sorted(found.items())
    ]


def changed_images(runs: Iterable[Run], store: Store) -> None:
    """Refuse to add runs to finished ones that saw other images: of a changed folder, or another package's.

    Raises:
        ValueError: Naming the source.
    """
    from checkerscope.experiments.study import build

    for spec, before in _fingerprints(runs, store):
        now = build.fingerprint(spec)
        if before != now:
            raise ValueError(
                f"images: {_images(spec)}: expected the images that {spec.id} was trained on"
                f" ({before[:12]}), got others ({now[:12]}); put them back or choose another folder with --results"
            )


def refuse_mixed_images(runs: Iterable[Run], store: Store) -> None:
    """Refuse numbers of runs that share an image source and saw different images.

    Raises:
        StoreError: Naming two such runs.
    """
    seen: dict[str, tuple[str, str]] = {}
    for spec, fingerprint in _fingerprints(runs, store):
        first, other = seen.setdefault(spec.images.source.model_dump_json(), (spec.id, fingerprint))
        if fingerprint != other:
            where = f"{store.root}: {first} and {spec.id}"
            raise StoreError(f"{where} were trained on different images of {_images(spec)}; remove one of them")


def _fingerprints(runs: Iterable[Run], store: Store) -> Iterator[tuple[RunSpec, str]]:
    """Yield complete runs with the fingerprint of the images that they were trained on, where that was recorded."""
    for run in runs:
        if store.is_complete(run.spec.id) and (fingerprint := store.record(run.spec.id).get("source")):
            yield run.spec, fingerprint


def _images(spec: RunSpec) -> str:
    """Return the name of a run's image source, and where its images are if the user says that."""
    source = spec.images.source
    return " ".join([source.name, *(str(source.options[key]) for key in ("path",) if key in source.options)])


def of_another_config(grid: Grid, unlisted: Sequence[str], store: Store) -> str:
    """Return what to say of stored runs that are none of a grid's: how many, and what is other in them."""
    if not unlisted:
        return ""
    keys = changed_keys(grid, unlisted[:SHOWN], store)
    differs = f": {', '.join(keys)} differs" if keys else ""
    return f"; {len(unlisted)} stored runs belong to another config{differs}"


def changed_keys(grid: Grid, unlisted: Iterable[str], store: Store) -> list[str]:
    """Return the config keys in which stored runs of another config differ from every run of this one.

    Args:
        grid: The runs of the config.
        unlisted: Ids of stored runs that are not among them.
        store: Where those are.
    """
    known: dict[str, set[str]] = {}
    for spec in grid.one_by_one():
        for key, value in _flat(json.loads(spec.canonical)):
            known.setdefault(key, set()).add(value)
    changed: set[str] = set()
    for run in unlisted:
        if store.is_complete(run):
            theirs = _flat(json.loads(store.load(run, "spec.json")))
            changed |= {key for key, value in theirs if value not in known.get(key, ())}
    return sorted(changed)


def _flat(spec: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in spec.items():
        where = f"{prefix}{key}"
        if isinstance(value, dict) and "options" not in value:
            yield from _flat(value, f"{where}.")
        else:
            yield where, json.dumps(value, sort_keys=True)
