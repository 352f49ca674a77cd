"""`checkerscope geometry`: sizes, configurations, overlap and shapes. Heavy imports stay inside the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from checkerscope.experiments.cli.options import PICTURES, as_json, output_file
from checkerscope.experiments.cli.terminal import say
from checkerscope.experiments.cli.user_models import load_model, parse_shape

if TYPE_CHECKING:
    from checkerscope.toolkit.geometry import Axis
    from checkerscope.toolkit.geometry.shapes import Trace

POSITIVE = click.IntRange(1, 1_000_000)
NATURAL = click.IntRange(0, 1_000_000)


@click.group(short_help="Sizes, configurations and overlap of upsampling layers.")
def geometry() -> None:
    """Sizes of transposed convolutions, which configurations fit, how taps overlap, shapes through a network."""


@geometry.command(short_help="What a transposed convolution makes of INPUT_SIZE.")
@click.argument("input_size", type=POSITIVE)
@click.option("-k", "--kernel-size", type=POSITIVE, required=True, help="Taps.")
@click.option("-s", "--stride", type=POSITIVE, default=1, show_default=True, help="Distance of inputs in the output.")
@click.option("-p", "--padding", type=NATURAL, default=0, show_default=True, help="Outputs cut off at each end.")
@click.option("--output-padding", type=NATURAL, default=0, show_default=True, help="Outputs kept at the far end.")
@click.option("-d", "--dilation", type=POSITIVE, default=1, show_default=True, help="Distance of the taps.")
@as_json
def size(input_size: int, as_json: bool, **parameters: int) -> None:
    """Print what a transposed convolution makes of INPUT_SIZE, with the formula and the overlap."""
    axis = _axis(**parameters)
    found = _asked(lambda: axis.output_size(input_size))
    if as_json:
        _json({"input": input_size, "output": found, **_facts(axis)})
        return
    say(f"(n - 1) s - 2 p + d (k - 1) + op + 1 = {axis.formula(input_size)}")
    say(axis.why())
    say("exact: every n becomes s n" if axis.is_exact else "not exact: other lengths are not enlarged s times")


@geometry.command(short_help="Configurations that map INPUT_SIZE to OUTPUT_SIZE.")
@click.argument("input_size", type=POSITIVE)
@click.argument("output_size", type=POSITIVE, required=False)
@click.option("--scale", type=POSITIVE, help="Instead of OUTPUT_SIZE: enlarge every length exactly so many times.")
@click.option("-k", "--kernel-size", type=POSITIVE, help="Only this kernel.  [default: 1 to 9, and 1 or 2 strides]")
@click.option("-s", "--stride", type=POSITIVE, help="Only this stride.")
@click.option("-d", "--dilation", type=POSITIVE, default=1, show_default=True, help="Distance of the taps.")
@click.option("--limit", type=POSITIVE, default=12, show_default=True, help="Configurations to show.")
@as_json
def solve(input_size: int, output_size: int | None, limit: int, as_json: bool, **wanted: Any) -> None:
    """List configurations that map INPUT_SIZE to OUTPUT_SIZE, the most even and cheapest first."""
    from checkerscope.toolkit import geometry as arithmetic

    found = _asked(lambda: arithmetic.solve(input_size, output_size, **wanted))
    if as_json:
        _json([_facts(axis) for axis in found[:limit]])
        return
    say(_columns([_short(axis) for axis in found[:limit]]))
    if len(found) > limit:
        say(f"... and {len(found) - limit} more; --limit {len(found)} shows all")
    say("Even is not clean: of random weights' energy, 1 - 1/s^2 is a grid all the same.")


@geometry.command(short_help="Count the taps that reach every output of layers.")
@click.argument("layers", nargs=-1, metavar="[KxS...]")
@click.option("-k", "--kernel-size", "kernels", type=POSITIVE, multiple=True, help="Taps of a layer; once per layer.")
@click.option(
    "-s",
    "--stride",
    "strides",
    type=POSITIVE,
    multiple=True,
    help="Distance of its inputs in the output; once per layer, or once for all.  [default: 1]",
)
@click.option("-n", "--length", type=click.IntRange(1, 64), default=6, show_default=True, help="Inputs on the line.")
@click.option("--dims", type=click.IntRange(1, 2), default=1, show_default=True, help="Draw a line or an area.")
@click.option("--gradient", is_flag=True, help="Count the gradient's paths through strided convolutions instead.")
@output_file("--output", kinds=PICTURES, help="Also draw a PNG, PDF or SVG.")
@as_json
def overlap(*, length: int, dims: int, gradient: bool, output: Path | None, as_json: bool, **layers: Any) -> None:
    """Count the taps that reach every output of a chain of layers.

    Layers are given as `-k 3 -s 2 -k 4 -s 2`, or in short as `3x2 4x2` (kernel x stride).
    """
    from checkerscope.toolkit.geometry.overlap import drawing, line_counts, phase_counts, ratio, spread

    axes = _chain(**layers)
    if gradient:
        length = max(length, _asked(lambda: _shortest(axes)))
    line = _asked(lambda: line_counts(axes, length, gradient=gradient))
    counts, period = spread(line, dims), phase_counts(axes, gradient=gradient)
    ratios = {"1d": ratio(period), "2d": ratio(spread(period)), "3d": ratio(spread(period, 3))}
    if output is not None:
        _picture(counts, output)
    if as_json:
        shown = {key: value if value < float("inf") else None for key, value in ratios.items()}
        _json({"period": period.tolist(), "counts": counts.tolist(), "largest_over_smallest": shown})
        return
    say(drawing(counts))
    say(f"interior, one period of {len(period)}: {' '.join(map(str, period))}")
    say("largest over smallest: " + ", ".join(f"{value:.4g} in {key}" for key, value in ratios.items()))


@geometry.command(short_help="Follow the shapes; mark the first layer of a wrong size.")
@click.argument("factory", metavar="MODULE:FACTORY")
@click.option("--input", "shape", default="1,3,64,64", show_default=True, metavar="N,C,H,W", help="Input shape.")
@click.option("--target", metavar="H,W", help="Size that the result should have.")
@as_json
def trace(factory: str, shape: str, target: str | None, as_json: bool) -> int:
    """Show the shapes through a network and mark the first layer of a wrong size.

    MODULE:FACTORY is a module in this folder or on the Python path, and something in it that is an nn.Module or
    returns one when called. This runs the module's code. Exit code 1 if a size does not fit.
    """
    import torch

    from checkerscope.toolkit.geometry.shapes import trace as follow

    lengths, wanted = parse_shape(shape), parse_shape(target, "--target") if target else None
    model = load_model(factory)
    found = _asked(lambda: follow(model, torch.zeros(lengths), target=wanted))
    if as_json:
        _json(_trace_document(found))
    else:
        _show(found)
    return 1 if found.problem else 0


def _asked(question: Callable[[], Any]) -> Any:
    """Return an answer; a request that cannot be fulfilled is a usage error."""
    try:
        return question()
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _axis(**parameters: int) -> Axis:
    from checkerscope.toolkit.geometry import Axis

    return _asked(lambda: Axis(**parameters))


def _chain(layers: tuple[str, ...], kernels: tuple[int, ...], strides: tuple[int, ...]) -> list[Axis]:
    """Return the layers of a chain, given in one of the two ways."""
    if layers and (kernels or strides):  # their order on the command line is not known
        raise click.UsageError("layers: expected KxS or -k and -s, got both; write all layers in one way")
    if layers:
        return [_layer(text) for text in layers]
    if not kernels:
        raise click.UsageError("layers: expected one or more, such as -k 4 -s 2 or 4x2, got none")
    if len(strides) not in (0, 1, len(kernels)):
        expected = f"-s once per -k ({len(kernels)} times) or once for all layers"
        raise click.UsageError(f"layers: expected {expected}, got it {len(strides)} times")
    of_each = strides if len(strides) == len(kernels) else (strides or (1,)) * len(kernels)
    return [_axis(kernel_size=kernel, stride=stride) for kernel, stride in zip(kernels, of_each, strict=True)]


def _layer(text: str) -> Axis:
    kernel, _, stride = text.partition("x")
    if not (kernel.isdecimal() and stride.isdecimal()):
        raise click.UsageError(f"layer: expected kernel x stride, such as 4x2, got {text!r}")
    return _axis(kernel_size=int(kernel), stride=int(stride))


def _shortest(axes: list[Axis]) -> int:
    """Return a length that two outputs of the last convolution can see."""
    length = 2
    for axis in reversed(axes):
        length = (length - 1) * axis.stride + axis.extent
    return length


def _facts(axis: Axis) -> dict[str, Any]:
    ratio = axis.overlap_ratio()
    return {
        **axis.__dict__,
        "taps_per_phase": axis.taps_per_phase,
        "overlap_ratio_2d": ratio if ratio < float("inf") else None,
        "checkerboard_prone": ratio > 1,
        "exact": axis.is_exact,
        "outputs_without_tap": axis.bare_outputs,
        "cost_2d": axis.cost(),
        "why": axis.why(),
    }


def _short(axis: Axis) -> dict[str, Any]:
    outputs = "output gets" if axis.bare_outputs == 1 else "outputs get"
    bare = f"; {axis.bare_outputs} {outputs} no tap at the end" if axis.bare_outputs else ""
    return {
        "k": axis.kernel_size,
        "s": axis.stride,
        "p": axis.padding,
        "op": axis.output_padding,
        "d": axis.dilation,
        "exact": "yes" if axis.is_exact else "no",
        "ratio": f"{axis.overlap_ratio():.3g}",
        "cost": f"{axis.cost():.3g}",
        "prone": "yes" if axis.overlap_ratio() > 1 else "no",
        "overlap": axis.why() + bare,
    }


def _show(found: Trace) -> None:
    rows = [
        {
            "": ">" if i == found.first_wrong else "",
            "layer": f"{row.name} ({row.kind})",
            "output": "x".join(map(str, row.output)),
            "needed": _size(row.needed),
            "size": row.formula,
        }
        for i, row in enumerate(found.rows)
    ]
    say(_columns(rows))
    say(found.problem or f"all sizes fit; the result is {'x'.join(map(str, found.output or ()))}")
    if 0 <= found.first_wrong < len(found.rows):
        row = found.rows[found.first_wrong]
        say(f"first wrong size: {row.name} gives {_size(row.output[2:])}, {_size(row.needed)} was needed")
    if found.fit is not None:
        say(str(found.fit))


def _size(lengths: tuple[Any, ...]) -> str:
    return "x".join(f"{float(length):.4g}" for length in lengths)


def _trace_document(found: Trace) -> dict[str, Any]:
    rows = [
        {**row.__dict__, "factors": list(map(float, row.factors)), "needed": list(map(float, row.needed))}
        for row in found.rows
    ]
    fit = None if found.fit is None else found.fit.__dict__
    return {**found.__dict__, "rows": rows, "fit": fit}


def _picture(counts: Any, path: Path) -> None:
    """Write counts as a picture."""
    from checkerscope.analysis.figures import _style
    from checkerscope.experiments.store.disk import write

    write(path, _style.encoded(_style.styled(_drawn)(counts), path.suffix))


def _drawn(counts: Any) -> Any:
    """Return counts as bars, or as an area with one flat square per value; resampling would invent grids."""
    from checkerscope.analysis.figures import _style

    figure = _style.figure(*((6, 2.2) if counts.ndim == 1 else (4.6, 4)))
    axes = figure.add_subplot()
    if counts.ndim == 1:
        axes.bar(range(len(counts)), counts, width=1.0, edgecolor="white", linewidth=0.5)
        axes.set(xlabel="output position (pixels)", ylabel="taps")
    else:
        area = axes.pcolormesh(counts, cmap="cividis")
        axes.set(xlabel="output column (pixels)", ylabel="output row (pixels)", aspect="equal")
        axes.invert_yaxis()
        figure.colorbar(area, label="taps")
    return figure


def _columns(rows: list[dict[str, Any]]) -> str:
    from checkerscope.experiments.cli.terminal import columns

    return columns(rows)


def _json(value: Any) -> None:
    say(json.dumps(value, indent=1, default=str, allow_nan=False))
