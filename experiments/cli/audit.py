"""The command `checkerscope audit`: which layer of a model makes the grid. Heavy imports stay inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from checkerscope.experiments.cli.options import FILE, PICTURES, as_json, output_file
from checkerscope.experiments.cli.terminal import say
from checkerscope.experiments.cli.user_models import example, load_model, load_weights, user_code

if TYPE_CHECKING:
    from torch import Tensor, nn

    from checkerscope.analysis.audit.report import Report
    from checkerscope.analysis.cures import Trials


@click.command(short_help="Find the layer of a model that makes a grid.")
@click.argument("factory", metavar="MODULE:FACTORY")
@click.option(
    "--input",
    "shapes",
    required=True,
    multiple=True,
    metavar="N,C,H,W",
    help="Shape of an input, as 1,3,64,64; once per argument of the model. 1,16,16@512 stands for integers below 512.",
)
@click.option(
    "--weights", type=FILE, help="State dict: safetensors, or a file that torch loads with weights_only=True."
)
@click.option(
    "--fail-over", type=float, metavar="DB", help="Tone in dB above which the exit code is 1.  [default: -50]"
)
@click.option(
    "--spatial-dims", type=click.IntRange(1, 3), help="Spatial axes, where shapes do not tell.  [default: from shapes]"
)
@click.option(
    "--cures",
    "seconds",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How long cures are tried on copies of a model that is not clean; 0 for none.",
)
@output_file("--picture", kinds=PICTURES, metavar="FILE.png", help="Draw the report, as .png, .pdf or .svg.")
@as_json
def audit(
    factory: str,
    shapes: tuple[str, ...],
    weights: Path | None,
    fail_over: float | None,
    spatial_dims: int | None,
    seconds: float,
    picture: Path | None,
    as_json: bool,
) -> int:
    """Find every layer of a model that enlarges its map, the grid that is left in the output, and what cures it.

    MODULE:FACTORY is imported and called: that runs its author's code. Weights are only data, nothing in them is run.

    Exit 0: clean; 1: over the limit; 2: it could not be audited, or the model enlarges nothing.
    """
    model, inputs = _loaded(factory, shapes, weights)
    report = _report(model, inputs, fail_over, spatial_dims)
    if not report.layers:
        unused = f" Never executed: {', '.join(report.unused)}." if report.unused else ""
        raise ValueError(f"{factory}: {report.verdict}{unused}")
    if picture is not None:
        _draw(report, picture)
    trials = _trials(model, inputs, report, seconds, spatial_dims) if seconds and not report.clean else None
    if as_json:
        say(json.dumps({**report.to_dict(), "trials": trials and trials.to_dict()}, indent=1))
    else:
        say(str(report) if trials is None else f"{report}\n\n{trials}")
    return 0 if report.clean else 1


def _loaded(factory: str, shapes: tuple[str, ...], weights: Path | None) -> tuple[nn.Module, tuple[Tensor, ...]]:
    import torch

    generator = torch.Generator().manual_seed(0)
    inputs = tuple(example(shape, generator) for shape in shapes)
    with user_code():
        model = load_model(factory)
        if weights is not None:
            load_weights(model, weights)
    return model, inputs


def _report(model: nn.Module, inputs: tuple[Tensor, ...], fail_over: float | None, spatial_dims: int | None) -> Report:
    from checkerscope.analysis.audit.procedure import audit as run
    from checkerscope.analysis.audit.report import THRESHOLD_DB

    limit = THRESHOLD_DB if fail_over is None else fail_over
    with user_code():
        return run(model, inputs, spatial_dims=spatial_dims, threshold_db=limit)


def _trials(
    model: nn.Module, inputs: tuple[Tensor, ...], report: Report, seconds: float, spatial_dims: int | None
) -> Trials:
    from checkerscope.analysis.cures import try_cures

    with user_code():
        return try_cures(model, inputs, report, seconds=seconds, spatial_dims=spatial_dims)


def _draw(report: Report, path: Path) -> None:
    from checkerscope.analysis.figures import _audit, _style
    from checkerscope.experiments.store import disk

    disk.write(path, _style.encoded(_audit.draw(report), path.suffix))
