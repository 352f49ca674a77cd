"""Records under which conditions numbers come about: machine, versions, threads; outside the digest of a run."""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

#: Packages that compute or decode: another version may give another pixel or another rounding.
COMPUTING = ("numpy", "scipy", "scikit-image", "pillow")
PACKAGES = ("torch", *COMPUTING, "pandas", "matplotlib", "seaborn", "safetensors", "typst")
#: Variables that change which instructions oneDNN and MKL use, or how exactly they compute.
INSTRUCTIONS = (
    *("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_CPU_ISA_HINTS", "DNNL_CPU_ISA_HINTS"),
    *("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR"),
)
#: Conditions that version 0.1 did not record.
SINCE_0_2 = ("pillow", "instructions")


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
    """Return what changes numbers though it is not meant to: versions, threads, instructions, device."""
    import torch

    return {
        "torch": torch.__version__,
        **{name: versions()[name] for name in COMPUTING},
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "instructions": instructions(),
        "processor": processor(),
        "device": device.partition(":")[0],
        "accelerator": torch.cuda.get_device_name(device) if device.startswith("cuda") else "",
    }


def recorded(environment: dict[str, Any], condition: str) -> Any:
    """Return what an environment says of a condition, or None where it says nothing."""
    return environment.get(condition, environment.get("packages", {}).get(condition))


def instructions() -> str:
    """Return what the user's variables say of oneDNN's and MKL's instructions; empty where they say nothing."""
    said = {name: os.environ.get(name, "").strip().upper() for name in INSTRUCTIONS}
    return " ".join(f"{name}={value}" for name, value in said.items() if value not in ("", "ALL", "DEFAULT"))


def reset_peak_memory() -> None:
    """Let the kernel forget this process' peak resident memory, where it allows that."""
    with contextlib.suppress(OSError):
        descriptor = os.open("/proc/self/clear_refs", os.O_WRONLY)
        try:
            os.write(descriptor, b"5")
        finally:
            os.close(descriptor)


def peak_memory_mb() -> float:
    """Return the peak resident memory of this process since the last reset, in MB; 0 where the system does not say."""
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


def software() -> dict[str, str]:
    """Return what workers of other machines must share: versions of what computes or decodes, and the code."""
    import torch

    from checkerscope.experiments.study import source_code

    found = versions()
    packages = ", ".join(f"{name} {found[name]}" for name in COMPUTING)
    return {"torch": torch.__version__, "packages": packages, "code": source_code.worker_code()}


@functools.lru_cache(maxsize=1)
def processor() -> str:
    """Return the processor's model name, as Linux gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
