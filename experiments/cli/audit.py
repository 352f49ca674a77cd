"""The command `checkerscope audit`: which layer of a model makes the grid. Heavy imports stay inside."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    "--fail-over",
    metavar="LIMIT",
    help="Tone above which the exit code is 1: in dB of the output's contrast, as -50, or as RMS in units of the"
    " output, as 0.5/255.  [default: -50]",
)
@click.option(
    "--spatial-dims", type=click.IntRange(1, 3), help="Spatial axes, where shapes do not tell.  [default: from shapes]"
)
@click.option(
    "--sample-rate",
    type=click.FloatRange(0, 1e12, min_open=True),
    metavar="HZ",
    help="Of an audio model: says the frequency of every line.",
)
@click.option(
    "--cures",
    "seconds",
    type=click.FloatRange(0, 86400),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long cures are tried on copies of a model that is not clean; 0 tries none.",
)
@output_file("--picture", kinds=PICTURES, metavar="FILE.png", help="Draw the report, as .png, .pdf or .svg.")
@as_json
def audit(
    factory: str,
    shapes: tuple[str, ...],
    weights: Path | None,
    fail_over: str | None,
    spatial_dims: int | None,
    sample_rate: float | None,
    seconds: float,
    picture: Path | None,
    as_json: bool,
) -> int:
    """Find every layer of a model that enlarges its map, and the grid that is left in the output.

    MODULE:FACTORY is imported and called: that runs its author's code. Weights are only data, nothing in them is run.

    Exit 0: clean; 1: over the limit; 2: it could not be audited, or the model enlarges nothing.
    """
    with _one_line(factory):
        model, inputs = _subject(factory, shapes, weights)
        report = _report(model, inputs, _limits(fail_over), spatial_dims)
        if report.judgement == "cannot be judged" or (report.clean and not report.layers):
            unused = f" Never executed: {', '.join(report.unused)}." if report.unused else ""
            raise ValueError(f"{factory}: {report.verdict}{unused}")
        if picture is not None:
            _draw(report, picture)
        cures = _cures(model, inputs, report, seconds, spatial_dims)
        said = _text(report, cures, sample_rate, as_json=as_json)
    say(said)
    return 0 if report.clean else 1


@contextlib.contextmanager
def _one_line(factory: str) -> Iterator[None]:
    """Make one line of whatever goes wrong, and exit code 2: 1 would say that the model is not clean."""
    try:
        yield
    except (ValueError, click.ClickException):
        raise
    except OSError as error:
        raise ValueError(f"{error.filename or factory}: {error.strerror or error}") from error
    except Exception as error:
        why = (str(error).strip().splitlines() or ["no message"])[0]
        raise ValueError(f"{factory}: cannot be audited: {type(error).__name__}: {why}") from error


def _limits(text: str | None) -> dict[str, Any]:
    """Return the limit that `-50` or `0.5/255` stands for, as `analysis.audit` takes it.

    Raises:
        ValueError: If it is no number, or no positive fraction.

    >>> _limits("-60"), _limits("0.5/255")["threshold_rms"] * 255
    ({'threshold_db': -60.0}, 0.5)
    """
    if text is None:
        return {}
    parts = text.split("/")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if not numbers or len(numbers) > 2 or not all(isfinite(number) for number in numbers):
        raise ValueError(f"--fail-over: expected dB as -50 or grey levels as 0.5/255, got {text[:40]!r}")
    if len(numbers) == 1:
        return {"threshold_db": numbers[0]}
    if min(numbers) <= 0:
        raise ValueError(f"--fail-over: expected two numbers above 0 as 0.5/255, got {text[:40]!r}")
    return {"threshold_rms": numbers[0] / numbers[1]}


def _subject(factory: str, shapes: tuple[str, ...], weights: Path | None) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Return the model, with the same random weights in every call, and inputs of the shapes."""
    import torch

    from checkerscope.analysis.audit.probing.guard import reseed

    generator = torch.Generator().manual_seed(0)
    inputs = tuple(example(shape, generator) for shape in shapes)
    with user_code():
        reseed(0)
        model = load_model(factory)
        if weights is not None:
            load_weights(model, weights)
    return model, inputs


def _report(model: nn.Module, inputs: tuple[Tensor, ...], limits: dict[str, Any], spatial_dims: int | None) -> Report:
    from checkerscope.analysis.audit.procedure import audit as run

    with user_code():
        return run(model, inputs, spatial_dims=spatial_dims, **limits)


def _cures(
    model: nn.Module, inputs: tuple[Tensor, ...], report: Report, seconds: float, spatial_dims: int | None
) -> Trials | None:
    """Return what cures did to copies of a model that is not clean; None where none is to be tried."""
    from checkerscope.analysis.cures import try_cures

    if report.clean or not report.layers or not seconds:
        return None
    with user_code():
        return try_cures(model, inputs, report, seconds=seconds, spatial_dims=spatial_dims)


def _text(report: Report, cures: Trials | None, sample_rate: float | None, *, as_json: bool) -> str:
    from checkerscope.analysis.audit import text

    if as_json:
        return json.dumps({**report.to_dict(), "trials": cures and cures.to_dict()}, indent=1)
    found = "\n".join(text.lines(report, sample_rate=sample_rate))
    return found if cures is None else f"{found}\n\n{cures}"


def _draw(report: Report, path: Path) -> None:
    from checkerscope.analysis.figures import _audit, _style
    from checkerscope.experiments.store import disk

    disk.write(path, _style.encoded(_audit.draw(report), path.suffix))
