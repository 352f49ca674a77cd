"""Where numbers come from: machine, versions and code, recorded beside the results and outside their digest."""

from __future__ import annotations

import ast
import contextlib
import datetime
import functools
import hashlib
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkerscope.toolkit import catalog

if TYPE_CHECKING:
    from checkerscope.experiments.study.spec import RunSpec

PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "pandas", "matplotlib", "seaborn", "safetensors", "typst")
#: Where `toolkit`, `analysis`, `experiments`, `configs` and `paper` lie: the checkout, or the installed package.
PROJECT = Path(__file__).resolve().parents[2]
#: What the PDF depends on besides toolkit and analysis.
PAPER_SOURCES = ("experiments/reporting/paper.py", "paper/checkerscope.typ", "paper/refs.bib")
#: Where code of ours lies that numbers depend on.
OURS = (
    "checkerscope.toolkit.",
    "checkerscope.analysis.",
    "checkerscope.experiments.claims.",
    "checkerscope.experiments.verdicts.contract",
)
#: Modules that every other one imports and that change no number: they find files and check arguments.
NEUTRAL = ("checkerscope.toolkit.catalog", "checkerscope.toolkit.checks")


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


def training_code(spec: RunSpec, executor: str = "loop") -> str:
    """Return a digest of the source that a run's weights depend on: its components and all that they import."""
    return code_of(
        *_components(spec), "checkerscope.toolkit.contracts.initializer", f"checkerscope.toolkit.training.{executor}"
    )


def measuring_code(spec: RunSpec, measure: str) -> str:
    """Return a digest of the source that one measure's numbers of one run depend on, besides its weights."""
    return code_of(*_components(spec), "checkerscope.analysis.trial", f"checkerscope.analysis.measures.{measure}")


def measure_stamp(spec: RunSpec, measure: str, asked: dict[str, int]) -> dict[str, Any]:
    """Return what is stored beside one measure's numbers of one run: they are out of date where it differs."""
    return {**asked, "code": measuring_code(spec, measure)}


def _components(spec: RunSpec) -> tuple[str, ...]:
    remedy = () if spec.cure is None else (f"checkerscope.toolkit.remedies.{spec.cure.name}",)
    return (
        *remedy,
        f"checkerscope.toolkit.images.{spec.images.source.name}",
        f"checkerscope.toolkit.networks.{spec.network.name}",
        f"checkerscope.toolkit.upsamplers.{spec.upsampler.name}",
        f"checkerscope.toolkit.initializers.{spec.initializer.name}",
    )


@functools.lru_cache(maxsize=4096)
def code_of(*modules: str) -> str:
    """Return a digest of modules of ours and of all modules of ours that they import, wherever in the file."""
    found: set[Path] = set()
    pending = list(modules)
    while pending:
        for path in _files(pending.pop()):
            if path not in found:
                found.add(path)
                pending += _imports(path)
    return _digest(found)


def _files(module: str) -> list[Path]:
    """Return the files of a dotted name: of its packages, and of itself; the last part may be a name inside one."""
    if module in NEUTRAL or not module.startswith(OURS):
        return []
    parts = module.split(".")[1:]  # below the import name
    bases = [PROJECT.joinpath(*parts[:length]) for length in range(1, len(parts) + 1)]
    return [path for base in bases for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]


@functools.lru_cache(maxsize=1024)
def _imports(path: Path) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from toolkit import catalog` must not stand for the package alone, nor for more than it names
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "catalog.load":
            # a component by a name that is known only when it runs: any of the folder
            package = getattr(node.args[0], "value", None)
            names += [catalog.module_name(package, name) for name in catalog.names(package)] if package else []
    return tuple(names)


def science_code() -> str:
    """Return a digest of all source of toolkit and analysis but figures, tables and remedies."""
    return _digest({path for path in _sources() if not {"figures", "tables", "remedies"} & set(path.parts)})


def drawing_code() -> str:
    """Return a digest of all source, the manuscript included, that figures, tables and the PDF depend on."""
    return _digest({*_sources(), *(PROJECT / name for name in PAPER_SOURCES)})


def _sources() -> Iterator[Path]:
    return (path for folder in ("toolkit", "analysis") for path in (PROJECT / folder).rglob("*.py"))


def _digest(paths: set[Path]) -> str:
    state = hashlib.sha256()
    for path in sorted(paths):
        state.update(path.relative_to(PROJECT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()[:16]
