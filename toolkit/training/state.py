"""Everything that is needed to go on with a training, as one flat dictionary of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def capture(model: Mapping[str, Tensor], adam: Mapping[int, Any], losses: Tensor, step: int) -> dict[str, Tensor]:
    """Return everything needed to go on after `step` steps, as one flat dictionary of tensors.

    Args:
        model: A model's state dict.
        adam: Its optimizer's state, by parameter number.
        losses: Of all steps, (steps,).
        step: Number of finished steps.
    """
    state = {f"model/{key}": _copy(value) for key, value in model.items()}
    for index, entry in adam.items():
        state |= {f"adam/{index}/{key}": _copy(torch.as_tensor(value)) for key, value in entry.items()}
    state["losses"] = _copy(losses[:step])
    state["step"] = torch.tensor(step)
    return state


def _copy(value: Tensor) -> Tensor:
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


def restore(model: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> int:
    """Write a captured state back, but for the losses, and return its step."""
    model.load_state_dict({key[6:]: value for key, value in state.items() if key.startswith("model/")})
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        if key.startswith("adam/"):
            _, index, name = key.split("/")
            # fused Adam walks memory: its moments must lie exactly as the parameter does (channels_last)
            moment = value.dim() > 0
            placed = torch.empty_like(parameters[int(index)].data).copy_(value) if moment else value
            entries.setdefault(int(index), {})[name] = placed
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(state["step"])
