"""The table and the figure of the cures, from made-up records whose answers are known."""

import pandas as pd
import pytest

from checkerscope.analysis.figures import cures as figure
from checkerscope.analysis.records import Records
from checkerscope.analysis.tables import cures as table

ARMS = [
    # arm, upsampler, cure, steps, flat tone, tone, PSNR, MACs
    ("Nearest + conv", "nearest_conv", "none", 300, 0.0, 1e-3, 24.0, 100),
    ("Free", "transposed_conv", "none", 300, 1e-2, 1e-2, 25.0, 100),
    ("Equal", "equal_gain_transposed_conv", "none", 300, 1e-9, 5e-4, 25.5, 102),
    ("Free, Fold finetune 200 learning rate 0.001", "transposed_conv", "fold", 200, 1e-2, 8e-3, 26.0, 100),
    ("Free, Equal phase gains order 1 finetune 200", "transposed_conv", "equal_gain", 200, 1e-9, 1e-3, 25.75, 100),
    ("Free, Worse", "transposed_conv", "worse", 0, 1e-2, 2e-2, 20.0, 110),
]


def records():
    runs, values = [], []
    for seed in (0, 1, 2):
        free = f"Free{seed}"
        for arm, upsampler, cure, steps, flat, tone, psnr, macs in ARMS:
            run = f"{arm}{seed}"
            base = free if cure != "none" else run
            runs.append((run, arm, seed, "done", steps, 10, macs, 4, False, upsampler, "default", cure, base, ""))
            named = {"tone.flat_rms": flat, "cycled_tone.rms": tone, "reconstruction.psnr": psnr + seed}
            values += [(run, steps, metric, value) for metric, value in named.items()]
    columns = ["run", "arm", "seed", "status", "steps", "parameters", "macs", "period", "needs_context"]
    columns += ["upsampler", "initializer", "cure", "base", "why"]
    return Records(
        runs=pd.DataFrame(runs, columns=columns),
        values=pd.DataFrame(values, columns=["run", "step", "metric", "value"]),
        study="cures",
    )


def test_every_arm_is_compared_with_what_it_started_from_or_with_its_free_layer():
    raw = table.numbers(records()).set_index("arm")
    assert raw["tone_gone"].round(6).tolist()[2:] == [0.9975, 0.36, 0.99, -3.0]
    assert raw["change"].round(6).tolist()[2:] == [0.5, 1.0, 0.75, -5.0]
    assert raw["against_longer"].round(6).tolist()[3:5] == [0.0, -0.25]
    assert raw["against_longer"].isna().tolist() == [True, True, True, False, False, True]
    assert raw["ratio"].round(6).tolist() == [1.0, 10.0, 0.5, 8.0, 1.0, 20.0]
    assert raw[["tone_gone", "change"]].iloc[:2].isna().all().all()


def test_the_table_says_it_in_short():
    shown = table.build(records())
    assert shown["layer"].tolist() == ["Nearest + conv", "Free", "Equal", "Free", "Free", "Free"]
    assert shown["cure"].tolist() == ["", "", "", "Fold", "Equal phase gains order 1", "Worse"]
    assert shown["steps"].tolist() == ["", "", "", "200", "200", ""]
    assert shown["flat gone (%)"].tolist()[2:] == ["100", "0.0 ± 0.0", "100", "0.0 ± 0.0"]
    assert shown["gone (%)"].tolist() == ["-", "-", "99.8 ± 0.0", "36.0 ± 0.0", "99.0 ± 0.0", "-300 ± 0"]
    assert shown["MACs"].tolist() == ["-", "-", "+2%", "+0%", "+0%", "+10%"]


def test_a_study_without_cures_has_no_such_table():
    plain = records()
    other = Records(runs=plain.runs.drop(columns=["cure", "base"]), values=plain.values)
    assert [plain.has(need) for need in table.NEEDS] == [True] * 4
    assert not other.has("base")


def test_the_figure_has_a_panel_per_cured_layer_and_a_mark_per_cure():
    (panel,) = figure.draw(records()).axes
    assert panel.get_title() == "Free"
    assert panel.get_yscale() == "log"
    marks = {container.get_label(): container[0].get_xydata()[0] for container in panel.containers}
    assert marks["Equal phase gains order 1"] == pytest.approx([0.75, 0.01])
    assert marks["Worse"] == pytest.approx([-5.0, 4.0])
