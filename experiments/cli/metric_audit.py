"""The command `checkerscope metric-audit`: every measure against defects of known kind and level."""

from __future__ import annotations

from pathlib import Path

import click

from checkerscope.experiments.cli.options import refuse_folder, results_folder

STUDY = "metric_audit"


@click.command("metric-audit", short_help="Hold every measure against defects of known level.")
@click.option("--draws", type=click.IntRange(2, 1000), default=20, show_default=True, help="Image sets per level.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws the sets and the noise.")
@results_folder()
@click.option("--publish", is_flag=True, help="Also write paper/data/metric_audit, which is committed.")
def metric_audit(draws: int, seed: int, results: Path, publish: bool) -> None:
    """Inject grids, replicas, blur, noise and blocking into photographs and see which measure notices what.

    Ours and the published ones side by side: detection thresholds, false positives, what each confuses.
    """
    import torch

    from checkerscope.analysis import metric_audit as audit
    from checkerscope.analysis.records import Records
    from checkerscope.analysis.tables import metric_audit as table
    from checkerscope.experiments.cli import showing, terminal
    from checkerscope.experiments.cli.terminal import Screen, say
    from checkerscope.experiments.reporting import publish as publishing
    from checkerscope.experiments.reporting.drawing import draw
    from checkerscope.experiments.reporting.report import source_of
    from checkerscope.experiments.store import drawings
    from checkerscope.experiments.store.records import save_records
    from checkerscope.toolkit import catalog

    study = results / STUDY
    refuse_folder("--results", study)
    if publish:
        publishing.check()
    torch.set_num_threads(1)  # numbers depend on it
    photographs, screen = catalog.load("checkerscope.toolkit.images", "photos"), Screen()
    found = audit.run(
        photographs.load("train", 64),
        others=photographs.load("test", 64),
        seed=seed,
        design=audit.Design(draws=draws),
        report=lambda line: screen.say(f"  {line}"),
    )
    question = "Which measure sees which defect, from what level on?"
    records = Records(tables={STUDY: found}, study=STUDY, question=question)
    save_records(records, study / "records")
    with drawings.alone(study / "report", screen.say):
        drawings.write(study / "report", draw(records).files, source_of([records], question))
    shown = table.build(records)
    say(terminal.columns([dict(zip(shown.columns, row, strict=True)) for row in shown.itertuples(index=False)]))
    say("")
    showing.places({"figures": study / "report" / "figures", "CSV": study / "records" / f"{STUDY}.csv"})
    if publish:
        say(publishing.publish(records))
