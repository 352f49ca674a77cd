"""Where numbers are computed, and in which precision: nothing falls back silently."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from checkerscope.toolkit import checks


def pick_device(name: str) -> torch.device:
    """Return the device for `auto` (cuda where there is one), `cpu`, `cuda` or `cuda:N`.

    Raises:
        ValueError: If it is no device of this machine; nothing falls back to the CPU silently.
    """
    kind = "cuda" if name == "auto" and torch.cuda.is_available() else "cpu" if name == "auto" else name
    base, _, index = kind.partition(":")
    if base not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise checks.mismatch("device", "auto, cpu, cuda or cuda:N", repr(name))
    if base == "cuda" and int(index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count() if torch.cuda.is_available() else "none"
        raise ValueError(
            f"device: {name} is not available (torch {torch.__version__}, CUDA devices: {found}); use --device cpu"
        )
    return torch.device(kind)


def check_precision(name: str, device: torch.device) -> None:
    """Check that a device can compute in a precision.

    Raises:
        ValueError: If it cannot; nothing falls back silently.
    """
    if name == "tf32" and device.type != "cuda":
        raise checks.mismatch("precision: tf32", "a CUDA device", device.type, "use float32")


@contextlib.contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Allow TF32 for precision `tf32`, and for no other, while the context lasts."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
