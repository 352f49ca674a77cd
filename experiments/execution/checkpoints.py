"""Training observer: keeps snapshots and writes resumable checkpoints."""

from __future__ import annotations

import time
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.store.seals import to_json
from checkerscope.experiments.study import build
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.experiments.workers.signals import exit_if_stopped, is_stopping
from checkerscope.toolkit.training import engine

#: Seconds of training between two checkpoints.
CHECKPOINT_SECONDS = 5.0


def source(spec: RunSpec) -> dict[str, str]:
    """Return what the manifest says of the images: their fingerprint."""
    return {"source": build.fingerprint(spec)}


class TrainingObserver:
    """Watches the training of one run: keeps snapshots, writes checkpoints, stops when asked."""

    def __init__(self, spec: RunSpec, store: Store, conditions: dict[str, Any]) -> None:
        self.spec, self.store = spec, store
        self.weights: dict[int, dict[str, Tensor]] = {}
        self.last = time.monotonic()
        # a run that was begun by other code, or with other threads, is begun again: half of each would be neither
        self.conditions = torch.frombuffer(bytearray(to_json({**conditions, **source(spec)})), dtype=torch.uint8)

    def resume(self) -> dict[str, Tensor] | None:
        """Return the state to go on from, if there is one that was made under the same conditions."""
        saved = self.store.load_checkpoint(self.spec.id)
        try:
            state = tensors_from_bytes(saved) if saved else {}
        except SafetensorError:  # whole, and yet no checkpoint of ours
            return None
        if not torch.equal(state.pop("conditions", torch.empty(0)), self.conditions):
            return None
        for key in [key for key in state if key.startswith("kept/")]:
            _, step, name = key.split("/", 2)
            self.weights.setdefault(int(step), {})[name] = state.pop(key)
        return state

    def __call__(self, step: int, state: engine.State) -> None:
        """Look at the training after `step` steps; save the state and end the process if a signal asked for it."""
        try:
            self.look(step, state, save=self.due or is_stopping())
        finally:
            exit_if_stopped()

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self.last >= CHECKPOINT_SECONDS

    def look(self, step: int, state: engine.State, *, save: bool) -> None:
        """Keep the weights after `step` steps if they are asked for, and the whole state if `save` says so."""
        if step in self.spec.saved_steps and step not in self.weights:
            self.weights[step] = {k[6:]: v for k, v in state().items() if k.startswith("model/")}
        if save and 0 < step < self.spec.steps:
            self._save(step, state())

    def _save(self, step: int, state: dict[str, Tensor]) -> None:
        kept = {f"kept/{s}/{name}": w for s, weights in self.weights.items() for name, w in weights.items()}
        packed = tensors_to_bytes({**state, **kept, "conditions": self.conditions})
        self.store.save_checkpoint(self.spec.id, step, packed)
        self.last = time.monotonic()

    def kept(self, outcome: engine.Outcome) -> dict[int, dict[str, Tensor]]:
        """Return the weights that count, by step: all of a training that ended well, else those before it failed."""
        return {
            step: weights
            for step, weights in sorted(self.weights.items())
            if outcome.status == "done" or step < outcome.step
        }
