"""The command of the metric audit, on a made-up audit: what it prints, writes and publishes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from checkerscope.analysis import metric_audit
from checkerscope.analysis.distortions import ARTIFACTS, OTHERS
from checkerscope.experiments.cli.metric_audit import metric_audit as command
from checkerscope.experiments.store.records import load_records
from checkerscope.experiments.study import packaged


def made_up(*args: object, **how: object) -> pd.DataFrame:
    design = how["design"]
    assert isinstance(design, metric_audit.Design)
    rows: list[tuple[object, ...]] = []
    for name, origin in (("sharp", "ours"), ("blind", "published")):
        rows.append((name, origin, "none", np.nan, 3 * design.draws, 0.05))
        for defect in (*ARTIFACTS, *OTHERS):
            shares = {-20.0: float(origin == "ours"), 0.0: float(defect != "checkerboard" or origin == "ours")}
            rows += [(name, origin, defect, level, design.draws, share) for level, share in shares.items()]
    return pd.DataFrame(rows, columns=list(metric_audit.COLUMNS))


def test_it_prints_writes_and_publishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_audit, "run", made_up)
    monkeypatch.setattr(packaged, "PAPER", tmp_path / "paper")
    results = tmp_path / "results"
    done = CliRunner().invoke(command, ["--draws", "7", "--results", str(results), "--publish"])
    assert done.exit_code == 0, done.output
    assert "sharp" in done.output
    assert (results / "metric_audit" / "report" / "figures" / "metric_audit.png").is_file()
    kept = load_records(results / "metric_audit" / "records").tables["metric_audit"]
    assert kept.loc[kept["distortion"] == "none", "sets"].tolist() == [21, 21]
    published = tmp_path / "paper" / "data" / "metric_audit" / "metric_audit.csv"
    assert published.read_bytes() == (results / "metric_audit" / "records" / "metric_audit.csv").read_bytes()
