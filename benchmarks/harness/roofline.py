"""What a training step does, operator by operator, and what the machine's ceilings would let each of them take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

#: Names of operators, and what they are part of; the first that is contained in an operator's name counts.
FAMILIES = (
    ("convolution_backward", "convolutions, backward"),
    ("convolution", "convolutions, forward"),
    ("threshold_backward", "ReLU"),
    ("clamp_min", "ReLU"),
    ("relu", "ReLU"),
    ("max_pool", "max-pooling"),
    ("upsample", "resize, shuffle"),
    ("pixel_", "resize, shuffle"),
    ("mse_loss", "loss"),
    ("adam", "Adam"),
    ("index", "batch"),
)


def family(operator: str) -> str:
    """Return what part of a training step an operator is."""
    name = operator.lower()
    return next((family for word, family in FAMILIES if word in name), "rest")


def label(operator: str, shapes: Sequence[Any]) -> str:
    """Return what is told apart in a profile: families of operators, and each convolution by its shapes."""
    name = family(operator)
    sides = ["x".join(map(str, shape)) for shape in shapes if len(shape) > 2] if "convolutions" in name else []
    return " ".join((name, *sides))


def work(step: Callable[[], Any], ceilings: dict[str, float]) -> dict[str, dict[str, float]]:
    """Return operations, bytes and attainable milliseconds of one training step, by label.

    Args:
        step: Takes one step.
        ceilings: `flops` and `bytes` per second; what an operator can attain is set by the slower of both.
    """
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import flop_registry

    found: dict[str, dict[str, float]] = defaultdict(lambda: {"operations": 0, "bytes": 0, "attainable_ms": 0})

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if not func.is_view and "empty" not in func.name():
                leaves = [t for t in tree_leaves((args, kwargs, result)) if hasattr(t, "element_size")]
                if family(func.name()) == "batch":  # a lookup reads what it gives, not the whole table
                    leaves = [t for t in tree_leaves((args[1:], result, result)) if hasattr(t, "element_size")]
                moved = sum(t.numel() * t.element_size() for t in leaves)
                count = flop_registry.get(func._overloadpacket)
                operations = count(*args, **(kwargs or {}), out_val=result) if count else 0
                shapes = [t.shape for t in tree_leaves(args) if hasattr(t, "shape")]
                entry = found[label(func.name(), shapes)]
                entry["operations"] += operations
                entry["bytes"] += moved
                entry["attainable_ms"] += 1e3 * max(operations / ceilings["flops"], moved / ceilings["bytes"])
            return result

    with Watch():
        step()
    return dict(found)
