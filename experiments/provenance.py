"""Where numbers come from: machine, versions and code, recorded beside the results and outside their digest."""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "pandas", "matplotlib", "seaborn", "safetensors", "typst")
PROJECT = Path(__file__).resolve().parent.parent


def environment(device: str) -> dict[str, Any]:
    """Return versions, machine, thread count and time, as plain JSON values."""
    import torch

    accelerator = torch.cuda.get_device_name(device) if device.startswith("cuda") else ""
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": versions(),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": device,
        "accelerator": accelerator,
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


def versions() -> dict[str, str]:
    """Return the installed version of every package that may change a number."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def processor() -> str:
    """Return the processor's model name, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def measuring_code() -> str:
    """Return a digest of all source that a measured number depends on; figures and tables are not among it."""
    return _code(without=("figures", "tables", "remedies"))


def drawing_code() -> str:
    """Return a digest of all source, the manuscript included, that figures, tables and the PDF depend on."""
    return _code(also=("experiments/paper.py", "paper/checkerscope.typ", "paper/refs.bib"))


@functools.lru_cache(maxsize=2)
def _code(without: tuple[str, ...] = (), also: tuple[str, ...] = ()) -> str:
    paths = [path for folder in ("toolkit", "analysis") for path in (PROJECT / folder).rglob("*.py")]
    paths = [path for path in paths if not set(without) & set(path.parts)] + [PROJECT / name for name in also]
    state = hashlib.sha256()
    for path in sorted(paths):
        state.update(path.relative_to(PROJECT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()[:16]
