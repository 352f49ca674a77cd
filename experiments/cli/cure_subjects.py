"""What `checkerscope cure` may be asked to cure: a stored run, or a model of somebody else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from checkerscope.experiments.cli.user_models import load_model, load_weights, parse_shape, user_code

if TYPE_CHECKING:
    from torch import Tensor, nn

    from checkerscope.analysis.comparison import Examples
    from checkerscope.experiments.study.build import Data
    from checkerscope.experiments.study.spec import RunSpec

#: Held-out images that are compared.
COMPARED = 64
#: Border of a run's images that padding may reach, in pixels.
MARGIN = 16


@dataclass(frozen=True)
class Subject:
    """A model to be cured, what it is compared on, and the spec and training data of a run."""

    model: nn.Module
    shown: Examples
    run: tuple[RunSpec, Data] | None = None


def of_run(subject: str, results: Path, shape: str | None, weights: Path | None) -> Subject:
    """Return a stored run's final model with its own images.

    Raises:
        click.UsageError: If there is no such run, it did not end well, or its images have changed.
        ConfigError: If what it consists of is no longer there.
    """
    import json

    from safetensors.torch import load

    from checkerscope.analysis.comparison import Examples
    from checkerscope.experiments.store.runs import Store, weights_name
    from checkerscope.experiments.study import build
    from checkerscope.experiments.study.config import validate
    from checkerscope.experiments.study.spec import RunSpec

    if shape is not None or weights is not None:
        raise click.UsageError("--input and --weights belong to a MODULE:FACTORY; a run has its own")
    folder = _folder(subject, results)
    store = Store(folder.parents[2], folder.parents[1].name)
    record = store.record(folder.name)
    if record["status"] != "done":
        raise click.UsageError(f"{subject}: expected a run that is done, got {record['status']}: {record['why']}")
    spec = validate(RunSpec, json.loads(store.load(folder.name, "spec.json")), str(folder / "spec.json"))
    if spec.train.loss == "cross_entropy":
        raise click.UsageError(f"{subject}: expected a run that makes images, got a segmentation")
    if record.get("source", "") != build.fingerprint(spec):
        raise click.UsageError(f"{subject}: its images have changed since it was trained; put them back")
    held_out, training = build.data(spec, "test").first(COMPARED), build.data(spec, "train")
    model = build.cured(spec, build.model(spec, held_out), held_out, fit=False)
    model.load_state_dict(load(store.load(folder.name, weights_name(record["steps"]))))
    period = int(record["period"])
    margin = max(0, min(MARGIN, (min(held_out.inputs.shape[2:]) - 4 * period) // 2))
    flat_side = 4 * period + 4 * MARGIN // period * period  # far enough from the border for any of our networks
    shown = Examples(held_out.inputs, held_out.targets, period, margin, flat_side)
    return Subject(model.eval(), shown, (spec, training))


def _folder(subject: str, results: Path) -> Path:
    """Return the folder of a run that is named by its path or its id."""
    path = Path(subject)
    if (path / "run.json").is_file() and path.resolve().parent.name == "runs":
        return path.resolve()
    found = sorted(results.glob(f"*/runs/{subject}")) if subject.isalnum() else []
    if len(found) == 1:
        return found[0].resolve()
    if found:
        raise click.UsageError(f"{subject}: expected one run, got {', '.join(map(str, found))}; give the path")
    raise click.UsageError(
        f"{subject}: expected a run under {results} (its id, or results/STUDY/runs/ID) or MODULE:FACTORY"
    )


def of_model(subject: str, shape: str | None, weights: Path | None) -> Subject:
    """Return a model of somebody else with inputs to compare on.

    Raises:
        click.UsageError: If it cannot be made, filled or run, or the shape is none.
    """
    from checkerscope.analysis.comparison import Examples

    if shape is None:
        raise click.UsageError("--input: missing; a MODULE:FACTORY needs the shape of its input, as 8,3,64,64")
    with user_code():
        model = load_model(subject)
    if weights is not None:
        load_weights(model, weights)
    inputs = _examples(_shape(shape))
    period, sides = _period(model, inputs)
    margin = min(sides) // 4
    return Subject(model.eval(), Examples(inputs, None, period, margin))


def _shape(text: str) -> tuple[int, ...]:
    sides = text.split(",")
    if len(sides) < 3 or not all(part.strip().isdecimal() and int(part) > 0 for part in sides) or int(sides[0]) < 2:
        raise click.UsageError(f"--input: expected a batch of 2 or more, channels, sides, as 8,3,64,64; got {text!r}")
    return parse_shape(text)


def _examples(sizes: tuple[int, ...]) -> Tensor:
    """Return photographs where the input can be one, else uniform noise."""
    import torch

    from checkerscope.toolkit.images import photos

    count, channels, *spatial = sizes
    if channels in (1, 3) and len(spatial) == 2 and max(spatial) <= 256:
        images = photos.load("test", max(spatial), seed=0, images=count)
        images = images.repeat(-(-count // len(images)), 1, 1, 1)[:count, :, : spatial[0], : spatial[1]]
        return images.mean(1, keepdim=True) if channels == 1 else images.contiguous()
    return torch.rand(sizes, generator=torch.Generator().manual_seed(0))


def _period(model: nn.Module, inputs: Tensor) -> tuple[int, tuple[int, ...]]:
    """Return the period of the model's grid and the sides of its output."""
    from math import lcm

    from checkerscope.analysis.audit.procedure import audit
    from checkerscope.toolkit.remedies._sites import outputs

    report = audit(model, inputs[:2])
    if not report.layers:
        raise click.UsageError(report.verdict)
    return lcm(*(report.period or (1,))), tuple(outputs(model, inputs[:1]).shape[2:])
