"""The metric audit on small sets: what is blind is found blind, what is sharp is found sharp."""

import numpy as np
import pandas as pd
import pytest
import torch

from checkerscope.analysis import metric_audit
from checkerscope.analysis.metric_audit import Candidate, Design


def pictures(count, side=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    f = torch.fft.fftfreq(side)
    gain = (f[:, None] ** 2 + f**2).clamp(min=1 / side**2) ** -0.5
    white = torch.randn(count, 1, side, side, generator=generator)
    smooth = torch.fft.ifft2(torch.fft.fft2(white) * gain).real
    return 0.5 + 0.15 * smooth / smooth.std()


@pytest.fixture(scope="module")
def audit():
    wanted = ("periodicity_test", "tone", "cyclic_coherence", "durall_radial_profile", "stylegan3_spectrum")
    measures = [one for one in metric_audit.candidates() if one.name in wanted]
    return metric_audit.run(
        pictures(64),
        others=pictures(32, seed=1),
        seed=0,
        design=Design((-50, -30, -10), draws=5, size=8),
        measures=measures,
    )


def test_rows_are_tidy(audit):
    assert list(audit.columns) == list(metric_audit.COLUMNS)
    assert len(audit) == 5 * (1 + 7 * 3)
    assert audit["flagged"].between(0, 1).all()
    assert audit.loc[audit["distortion"] == "none", "level_db"].isna().all()
    assert audit.loc[audit["distortion"] == "none", "sets"].eq(15).all()


def test_the_published_profile_is_blind_to_the_checkerboard(audit):
    blind = audit.query("measure == 'durall_radial_profile' and distortion == 'checkerboard'")
    clean = audit.query("measure == 'durall_radial_profile' and distortion == 'none'")["flagged"].item()
    assert blind["flagged"].nunique() == 1  # no level changes anything
    assert clean < 0.9
    assert np.isnan(metric_audit.thresholds(audit).set_index("measure").loc["durall_radial_profile", "checkerboard"])


def test_measures_see_what_they_are_for(audit):
    table = metric_audit.thresholds(audit).set_index("measure")
    assert table.loc["periodicity_test", "checkerboard"] <= -30
    assert table.loc["tone", "stripes"] <= -10
    assert table.loc["cyclic_coherence", "replicas"] <= 0
    assert np.isnan(table.loc["cyclic_coherence", "checkerboard"])
    assert table.loc["periodicity_test", "false_positives"] < 0.3


def test_same_seed_same_audit():
    measures = [Candidate("spread", "ours", lambda x: float(x.std()))]
    design = Design((-20,), draws=2, size=4, defects=("noise", "blur"))
    one, two = (metric_audit.run(pictures(20), seed=3, design=design, measures=measures) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert one["distortion"].tolist() == ["none", "noise", "blur"]


def test_every_candidate_gives_finite_bins():
    x = pictures(6)[..., :32, :32].repeat(1, 3, 1, 1)
    found = metric_audit.candidates()
    assert {one.origin for one in found} == {"ours", "published"}
    for candidate in found:
        bins = np.atleast_1d(np.asarray(candidate.respond(x), dtype=np.float64))
        assert np.isfinite(bins).all(), candidate.name


def test_undefined_numbers_do_not_pass_for_blindness():
    broken = [Candidate("broken", "ours", lambda x: float("nan"))]
    with pytest.raises(ValueError, match="broken: expected finite bins for a set of images, got 1 NaN"):
        metric_audit.run(pictures(20), seed=0, design=Design((-20,), draws=2, size=4), measures=broken)


def test_images_without_contrast_leave_the_others_average():
    x = pictures(8)[..., :32, :32]
    durall = next(one for one in metric_audit.candidates() if one.name == "durall_radial_profile")
    assert torch.equal(durall.respond(torch.cat([x, torch.zeros(1, 1, 32, 32)])), durall.respond(x))


def rows(flagged, levels=(-30.0, -20.0, -10.0)):
    found = [("m", "ours", "blur", level, 10, share) for level, share in zip(levels, flagged, strict=True)]
    return pd.DataFrame([("m", "ours", "none", np.nan, 30, 0.1), *found], columns=list(metric_audit.COLUMNS))


@pytest.mark.parametrize(
    ("flagged", "threshold"),
    [((0.0, 0.8, 1.0), -15.0), ((1.0, 1.0, 1.0), -30.0), ((1.0, 0.5, 0.5), np.nan), ((0.95, 0.0, 0.9), -10.0)],
)
def test_thresholds_hold_for_all_higher_levels(flagged, threshold):
    table = metric_audit.thresholds(rows(flagged))
    assert table["blur"].item() == pytest.approx(threshold, nan_ok=True)
    assert table["false_positives"].item() == 0.1


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(8, 1, 40, 40), r"images: expected at least 16 on either side, got \(4, 4\)"),
        (torch.rand(40, 1, 32, 40), r"images: expected two sides that are multiples of 8, from 40, got \(32, 40\)"),
        (torch.rand(40, 1, 44, 44), "images: expected two sides that are multiples of 8"),
        (torch.full((40, 1, 40, 40), torch.nan), "images: expected finite numbers"),
    ],
)
def test_refuses(images, message):
    with pytest.raises(ValueError, match=message):
        metric_audit.run(images, seed=0)
