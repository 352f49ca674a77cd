"""Under which conditions numbers come about: machine, versions, threads; recorded beside them, outside their digest."""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "pandas", "matplotlib", "seaborn", "safetensors", "typst")


def environment(device: str) -> dict[str, Any]:
    """Return versions, machine, thread count and time, as plain JSON values."""
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "python": platform.python_version(),
        "packages": versions(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        **conditions(device),
    }


def conditions(device: str) -> dict[str, Any]:
    """Return what changes numbers though it is not meant to, by rounding: torch, threads, instructions, device."""
    import torch

    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "processor": processor(),
        "device": device.partition(":")[0],
        "accelerator": torch.cuda.get_device_name(device) if device.startswith("cuda") else "",
    }


def reset_peak_memory() -> None:
    """Let the kernel forget this process' peak resident memory, where it allows that."""
    with contextlib.suppress(OSError):
        descriptor = os.open("/proc/self/clear_refs", os.O_WRONLY)
        try:
            os.write(descriptor, b"5")
        finally:
            os.close(descriptor)


def peak_memory_mb() -> float:
    """Return the peak resident memory of this process since the last reset, in MB; 0 where it is not told."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


@functools.lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the installed version of every package that may change a number."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


@functools.lru_cache(maxsize=1)
def processor() -> str:
    """Return the processor's model name, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
