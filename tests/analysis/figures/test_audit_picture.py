"""The picture of an audit: whole pixels, every enlargement in the tree, any number of dimensions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from checkerscope.analysis.audit.procedure import audit
from checkerscope.analysis.audit.report import NO_LATTICE, Report, Step
from checkerscope.analysis.figures import _audit


def model(dims: int) -> nn.Module:
    torch.manual_seed(0)
    up, conv = ((nn.ConvTranspose1d, nn.Conv1d), (nn.ConvTranspose2d, nn.Conv2d), (nn.ConvTranspose3d, nn.Conv3d))[
        dims - 1
    ]
    return nn.Sequential(nn.Sequential(up(4, 4, 4, 2, 1), nn.ReLU()), nn.Upsample(scale_factor=2), conv(4, 3, 1))


def drawn(dims: int) -> tuple[Report, Figure]:
    report = audit(model(dims), torch.randn(1, 4, *(8,) * dims, generator=torch.Generator().manual_seed(0)))
    figure = _audit.draw(report)
    figure.canvas.draw()
    return report, figure


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_every_enlargement_is_in_the_tree(dims: int) -> None:
    report, figure = drawn(dims)
    texts = [text.get_text() for text in figure.axes[0].texts]
    for layer in report.layers:
        assert any(layer.kind in text for text in texts)
    assert sum("at output" in text for text in texts) == 2


def test_the_phase_map_is_magnified_pixel_for_pixel() -> None:
    report, figure = drawn(2)
    cell = report.phase_map[0][(report.phase_map[0] ** 2).mean((1, 2)).argmax()]
    shown = np.asarray(figure.canvas.buffer_rgba())
    placed = figure.images[0]
    side = placed.get_array().shape[0]
    assert side % 16 == 0
    top = shown.shape[0] - int(placed.oy) - side
    seen = shown[top : top + side, int(placed.ox) : int(placed.ox) + side, :3].astype(int)
    blocks = seen.reshape(16, side // 16, 16, side // 16, 3)
    assert np.all(blocks == blocks[:, :1, :, :1])  # one value, one square of equal pixels
    order = np.tile(cell, (4, 4)).ravel()
    redness = (blocks[:, 0, :, 0, 0] - blocks[:, 0, :, 0, 2]).ravel()
    assert np.corrcoef(order, redness)[0, 1] > 0.9


def test_a_deep_tree_is_folded() -> None:
    trace = [Step(f"a.{i}.{j}", "Conv2d", -20.0, 0 if i == j == 0 else None) for i in range(9) for j in range(9)]
    ends = [Step(f"a.{i}", "Block", -20.0) for i in range(9)]
    rows = _audit.tree([*trace, *ends, Step("", "Net", -20.0)], most=40)
    assert len(rows) <= 40
    assert rows[-1].label == "output"
    assert any(row.step is not None and row.step.layer == 0 for row in rows)


def test_what_judged_no_output_has_no_picture() -> None:
    with pytest.raises(ValueError, match="audit picture: report: expected an output with a lattice"):
        _audit.draw(Report(True, NO_LATTICE, ()))
