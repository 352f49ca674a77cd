"""The command `checkerscope metric-audit`: every measure against defects of known kind and level."""

from __future__ import annotations

from pathlib import Path

import click

from checkerscope.experiments.cli.options import results_folder

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
    from checkerscope.experiments.cli import terminal
    from checkerscope.experiments.reporting import paper
    from checkerscope.experiments.store.records import save_records
    from checkerscope.toolkit import catalog

    torch.set_num_threads(1)  # numbers depend on it
    photographs = catalog.load("checkerscope.toolkit.images", "photos")
    found = audit.run(
        photographs.load("train", 64),
        others=photographs.load("test", 64),
        seed=seed,
        design=audit.Design(draws=draws),
        report=lambda line: click.echo(f"  {line}", err=True),
    )
    question = "Which measure sees which defect, from what level on?"
    records = Records(tables={STUDY: found}, study=STUDY, question=question)
    folders = [results / STUDY / "records"] + ([paper.PAPER / "data" / STUDY] if publish else [])
    for folder in folders:
        save_records(records, folder)
    made = paper.build(records, paper.PAPER)
    shown = table.build(records)
    click.echo(terminal.columns([dict(zip(shown.columns, row, strict=True)) for row in shown.itertuples(index=False)]))
    click.echo("")
    for path in (*made.figures, *made.tables, *(folder / f"{STUDY}.csv" for folder in folders)):
        click.echo(path)
