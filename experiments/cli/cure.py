"""The command `checkerscope cure`: apply a remedy to a trained model and compare. Heavy imports stay inside."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from checkerscope.experiments.cli.options import FILE, as_json, output_file, results_folder
from checkerscope.experiments.cli.terminal import say
from checkerscope.experiments.cli.user_models import comparison_inputs, load_metric, load_model, load_weights, user_code

if TYPE_CHECKING:
    from torch import Tensor, nn

    from checkerscope.analysis.comparison import Comparison, SharedInputs
    from checkerscope.experiments.execution.stored_models import StoredModel
    from checkerscope.toolkit.training.engine import Recipe

#: Held-out images of a run that are compared.
COMPARED = 64
#: Border of a run's images that padding may reach, in pixels.
MARGIN = 16


@dataclass(frozen=True)
class _Options:
    """What the command line says of the cure."""

    remedy: str
    settings: tuple[str, ...]
    finetune: int
    learning_rate: float | None


@dataclass(frozen=True)
class _Subject:
    """A model to be cured, what it is compared on, and the stored run that it is of."""

    model: nn.Module
    shown: SharedInputs
    run: StoredModel | None = None


def _above_zero(ctx: click.Context, parameter: click.Parameter, rate: float | None) -> float | None:
    if rate is not None and not 0 < rate < math.inf:
        raise ValueError(f"--learning-rate: expected a number above 0, got {rate:g}")
    return rate


@click.command(short_help="Apply a remedy to a trained model and compare.")
@click.argument("subject", metavar="RUN_OR_MODEL")
@click.option("--remedy", required=True, metavar="NAME", help="A name of `checkerscope list remedies`.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Option of the remedy, as order=1.")
@click.option(
    "--finetune",
    type=click.IntRange(0, 1_000_000),
    default=0,
    show_default=True,
    help="Steps on the run's own training images after the cure; a run only.",
)
@click.option(
    "--learning-rate",
    type=float,
    callback=_above_zero,
    metavar="RATE",
    help="Of the fine-tune.  [default: the run's]",
)
@click.option("--input", "shape", metavar="N,C,H,W", help="Shape of the inputs to compare on, N >= 2; a model only.")
@click.option(
    "--weights",
    type=FILE,
    help="State dict of the model: safetensors, or a file that torch loads with weights_only=True.",
)
@click.option("--metric", metavar="MODULE:FUNCTION", help="Your own number of a model, more is better.")
@output_file("--output", metavar="FILE.safetensors", help="Where the cured weights go, folded into plain layers.")
@results_folder("Where runs are looked for by their id.")
@as_json
def cure(
    subject: str,
    shape: str | None,
    weights: Path | None,
    metric: str | None,
    output: Path | None,
    results: Path,
    as_json: bool,
    **cure_options: Any,
) -> int:
    """Apply a remedy to a trained model and say what it changed.

    RUN_OR_MODEL is a stored run, results/STUDY/runs/ID or its ID, or MODULE:FACTORY, which is imported and called:
    that runs its author's code. A run is compared on held-out images, a model on photographs where its input can be
    one, else on noise; constant inputs are reported apart. The original is never changed.

    Exit 0: applied; 1: applied, but the model still has the grid that the remedy should remove; 2: it does not apply.
    """
    from checkerscope.analysis.comparison import compare

    options = _Options(**cure_options)
    settings = _settings(options)
    judge = None if metric is None else load_metric(metric)
    is_model = ":" in subject
    if is_model and options.finetune:
        raise click.UsageError("--finetune: a MODULE:FACTORY has no training images here; use --remedy self_distil")
    found = _model(subject, shape, weights) if is_model else _run(subject, results, shape, weights)
    cured = _cured(found, options, settings)
    with user_code():
        comparison = compare(found.model, _as_measured(cured, found), found.shown, metric=judge)
    remains = _remains(cured, found, options) if is_model else ""
    written = None if output is None else _write(cured, output)
    if as_json:
        say(json.dumps(_document(subject, options, settings, comparison, output), indent=1, allow_nan=False))
    else:
        say(_text(subject, options, comparison, has_targets=found.shown.targets is not None))
        if written:
            say(written)
    if remains:
        say(remains, err=True)
    return 1 if remains else 0


def _settings(options: _Options) -> dict[str, Any]:
    """Return the remedy's options from KEY=VALUE texts; values as in TOML, a bare word is a string."""
    from checkerscope.experiments.study.config import override
    from checkerscope.toolkit import catalog
    from checkerscope.toolkit.options import check

    component = catalog.describe_one("checkerscope.toolkit.remedies", options.remedy)
    given: dict[str, Any] = {}
    for text in options.settings:
        key, equals, _ = text.partition("=")
        key = key.strip()
        if not equals:
            raise click.UsageError(f"--set {text}: expected KEY=VALUE, for example order=1")
        known = [option for option in component.options if option not in ("inputs", "targets", "example")]
        if key not in known:
            raise click.UsageError(f"--set {key}: {options.remedy} has none; {catalog.closest(key, known)}")
        override(given, text)
    check(component, given)
    return given


def _run(subject: str, results: Path, shape: str | None, weights: Path | None) -> _Subject:
    """Return a stored run's final model with its own images."""
    from checkerscope.analysis.comparison import SharedInputs
    from checkerscope.experiments.execution import stored_models

    if shape is not None or weights is not None:
        raise click.UsageError("--input and --weights belong to a MODULE:FACTORY; a run has its own")
    run = stored_models.load(stored_models.find(subject, results))
    held_out, period = run.held_out.first(COMPARED), run.period
    margin = max(0, min(MARGIN, (min(held_out.inputs.shape[2:]) - 4 * period) // 2))
    flat_side = 4 * period + 4 * MARGIN // period * period  # far enough from the border for any of our networks
    return _Subject(run.model, SharedInputs(held_out.inputs, held_out.targets, period, margin, flat_side), run)


def _model(subject: str, shape: str | None, weights: Path | None) -> _Subject:
    """Return a model of somebody else with inputs to compare on."""
    from checkerscope.analysis.comparison import SharedInputs

    if shape is None:
        raise click.UsageError("--input: missing; a MODULE:FACTORY needs the shape of its input, as 8,3,64,64")
    with user_code():
        model = load_model(subject)
    if weights is not None:
        load_weights(model, weights)
    inputs = comparison_inputs(shape)
    period, sides = _period(model, inputs)
    return _Subject(model.eval(), SharedInputs(inputs, None, period, min(sides) // 4))


def _period(model: nn.Module, inputs: Tensor) -> tuple[int, tuple[int, ...]]:
    """Return the period of the model's grid and the sides of its output."""
    from checkerscope.analysis.audit.procedure import audit
    from checkerscope.toolkit.remedies._running import outputs

    report = audit(model, inputs[:2])
    if not report.layers:
        raise ValueError(report.verdict)
    return math.lcm(*(report.period or (1,))), tuple(outputs(model, inputs[:1]).shape[2:])


def _cured(found: _Subject, options: _Options, settings: dict[str, Any]) -> nn.Module:
    """Return the cured model, fine-tuned where that is asked for."""
    from checkerscope.toolkit import catalog
    from checkerscope.toolkit.curing import cure

    remedy = {"name": options.remedy, **settings}
    if found.run is not None:
        examples, recipe = found.run.training, _recipe(found.run, options)
        cured = cure(
            found.model,
            remedy,
            inputs=examples.inputs,
            targets=examples.targets,
            recipe=recipe,
            seed=found.run.spec.seed,
        )
        return cured.eval()
    if catalog.describe_one("checkerscope.toolkit.remedies", options.remedy).flags.get("promise") == "needs data":
        raise click.UsageError(f"--remedy {options.remedy}: needs images and targets, which a stored run has")
    return cure(found.model, remedy, inputs=found.shown.inputs).eval()


def _remains(cured: nn.Module, found: _Subject, options: _Options) -> str:
    """Return what an audit still finds where a remedy should have removed it: half a cure is not passed for a whole."""
    from checkerscope.analysis.audit.procedure import audit
    from checkerscope.toolkit import catalog

    if not catalog.describe_one("checkerscope.toolkit.remedies", options.remedy).flags.get("cures", True):
        return ""
    report = audit(cured, found.shown.inputs[:2])
    return "" if report.clean else f"after {options.remedy}: {report.verdict}"


def _recipe(run: StoredModel, options: _Options) -> Recipe:
    """Return how the run was trained, with the steps and the learning rate of the fine-tune."""
    import dataclasses

    from checkerscope.experiments.execution import fit

    recipe = fit.recipe(run.spec)
    rate = recipe.learning_rate if options.learning_rate is None else options.learning_rate
    return dataclasses.replace(recipe, steps=options.finetune, learning_rate=rate)


def _as_measured(cured: nn.Module, found: _Subject) -> nn.Module:
    """Return the cured model in the precision in which runs are measured, whatever they are trained in."""
    from checkerscope.toolkit.parametrizations import copied

    return cured if found.run is None else copied(cured, "cure").to(found.shown.inputs.dtype)


def _write(cured: nn.Module, path: Path) -> str:
    from safetensors.torch import save

    from checkerscope.experiments.store.disk import write
    from checkerscope.toolkit import parametrizations
    from checkerscope.toolkit.remedies import fold

    try:
        folded, note = fold.apply(cured), ""
    except ValueError as error:  # some layers of ours have no plain form: their weights are still worth having
        folded, note = parametrizations.removed(cured, "cure"), f"; not in plain layers: {error}"
    write(path, save({name: value.detach().contiguous() for name, value in folded.state_dict().items()}))
    return f"weights: {path}{note}"


def _document(
    subject: str, options: _Options, settings: dict[str, Any], comparison: Comparison, output: Path | None
) -> dict[str, Any]:
    cure = {"remedy": options.remedy, "options": settings, "finetune": options.finetune}
    return {"subject": subject, **cure, **comparison.to_dict(), "output": None if output is None else str(output)}


def _text(subject: str, options: _Options, comparison: Comparison, *, has_targets: bool) -> str:
    """Return the comparison as a table that fits 80 columns."""
    from checkerscope.experiments.cli.terminal import columns

    before, after = comparison.before, comparison.after
    images = "residual on images" if has_targets else "output on images"
    quality = "PSNR (dB)" if has_targets else "PSNR against the original (dB)"
    rows = [
        ("tone on flat inputs", before.flat_tone, after.flat_tone, ".1e", _gone(comparison.flat_removed)),
        (f"tone of the {images}", before.image_tone, after.image_tone, ".1e", _gone(comparison.image_removed)),
        ("phase variance", before.phase_variance, after.phase_variance, ".1e", ""),
        (quality, before.psnr, after.psnr, ".2f", f"{after.psnr - before.psnr:+.2f}" if has_targets else ""),
        ("your metric", before.metric, after.metric, ".4g", f"{after.metric - before.metric:+.3g}"),
        ("parameters", before.parameters, after.parameters, ",", f"{after.parameters - before.parameters:+,}"),
        ("multiply-accumulates", before.macs, after.macs, ",", f"{after.macs - before.macs:+,}"),
    ]
    table = [
        {"": label, "before": format(first, form), "after": format(second, form), "change": change}
        for label, first, second, form, change in rows
        if first == first or second == second  # NaN: not measured
    ]
    steps = f", {options.finetune} steps of fine-tuning" if options.finetune else ""
    return f"{options.remedy} on {subject}{steps}\n{columns(table)}"


def _gone(share: float) -> str:
    return "" if share != share else f"{share:.1%} of the power gone" if share >= 0 else f"power x {1 - share:.3g}"
