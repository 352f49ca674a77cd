"""The command `checkerscope audit`: which layer of a model makes the grid. Heavy imports stay inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.factory import load_model

if TYPE_CHECKING:
    from torch import Tensor, nn


@click.command()
@click.argument("factory", metavar="MODULE:FACTORY")
@click.option("--input", "shape", required=True, metavar="N,C,H,W", help="Shape of the example input, as 1,3,64,64.")
@click.option(
    "--weights",
    type=click.Path(dir_okay=False, path_type=Path),
    help="State dict: safetensors, or a file that torch loads with weights_only=True.",
)
@click.option(
    "--fail-over", type=float, metavar="DB", help="Tone in dB above which the exit code is 1.  [default: -50]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def audit(factory: str, shape: str, weights: Path | None, fail_over: float | None, as_json: bool) -> int:
    """Find every layer of a model that enlarges its map, and the grid that is left in the output.

    MODULE:FACTORY is imported and called, which runs its author's code. Exit 0: clean; 1: over the limit; 2: it could
    not be audited, or the model enlarges nothing.
    """
    import torch

    from analysis.audit import audit as run
    from analysis.audit_report import THRESHOLD_DB

    model = load_model(factory)
    example = torch.rand(_shape(shape), generator=torch.Generator().manual_seed(0))
    if weights is not None:
        _load(model, weights)
    report = run(model, example, threshold_db=THRESHOLD_DB if fail_over is None else fail_over)
    if not report.layers:
        raise click.UsageError(f"{factory}: {report.verdict}")
    click.echo(json.dumps(report.to_dict(), indent=1) if as_json else str(report))
    return 0 if report.clean else 1


def _shape(text: str) -> tuple[int, ...]:
    lengths = text.split(",")
    if len(lengths) < 3 or not all(part.strip().isdigit() and int(part) > 0 for part in lengths):
        raise click.UsageError(f"--input: expected batch, channels and sides such as 1,3,64,64, got {text!r}")
    return tuple(map(int, lengths))


def _load(model: nn.Module, path: Path) -> None:
    try:
        model.load_state_dict(_state(path))
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise click.UsageError(f"--weights {path}: {str(error).splitlines()[0]}") from error


def _state(path: Path) -> dict[str, Tensor]:
    import torch
    from safetensors.torch import load

    try:
        if path.suffix == ".safetensors":
            return load(path.read_bytes())
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # whatever is wrong with the file: nothing in it is ever run
        raise ValueError("expected a state dict in safetensors, or one that torch loads with weights only") from error
