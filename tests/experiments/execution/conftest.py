"""A place for one run, and something that happens to it at a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from checkerscope.experiments.execution import checkpoints
from checkerscope.experiments.execution.training import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(str(tmp_path), "disturbed")
    place.store.prepare()
    return place


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], Any]], None]:
    """Make training save its state after every step, and do something after step n."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    look = checkpoints.TrainingObserver.__call__

    def arrange(step: int, act: Callable[[], Any], *, before: bool = False) -> None:
        def looked(self: checkpoints.TrainingObserver, now: int, state: Callable[[], dict[str, torch.Tensor]]) -> None:
            if before and now == step:
                act()
            look(self, now, state)
            if not before and now == step:
                act()

        monkeypatch.setattr(checkpoints.TrainingObserver, "__call__", looked)

    return arrange
