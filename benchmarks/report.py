"""docs/performance.md and its figures from the committed outputs of the benchmarks; no number is typed by hand.

python benchmarks/report.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HEAD = """# Performance

Made by `python benchmarks/report.py` from `benchmarks/*.json`; every number below is in one of them. Ratios are medians
of rounds that are interleaved (A B A B) in one run."""


def markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ("---",) * len(head), *rows))


def where(results: dict[str, Any]) -> str:
    """Return the machine, versions, load and command of a benchmark, one paragraph."""
    machine = results["environment"]
    named = machine["accelerator"] or f"{machine['processor']}, {machine['cores']} cores, {machine['cpu_capability']}"
    load = results["load"][0]
    busy = "; a busy machine, so read what is not in processor seconds with care" if load > machine["cores"] + 1 else ""
    versions = f"torch {machine['packages']['torch']}, Python {machine['python']}"
    when = f"{machine['time'][:10]}, load at the end {load:.1f}{busy}"
    return f"{named}, {versions}, {when}. Command: `{results['command']}`."


def growth_section(results: dict[str, Any]) -> str:
    """Return how a step's cost grows."""
    rows = [
        (r["arm"], f"{r['factor']} {r['value']}", f"{r['step_ms']:.1f}", f"{r['mflop_per_step']:.0f}",
         f"{r['gemm_fraction']:.2f}", f"{r['step_memory_mb']:.0f}")
        for r in results["rows"]
    ]  # fmt: skip
    base = ", ".join(f"{key} {value}" for key, value in results["base"].items())
    text = (
        f"One factor at a time around {base}; processor milliseconds of one thread, batch 16. The base is timed once"
        " per factor, and the machine's load differs between them: compare within a factor."
    )
    head = ("arm", "factor", "ms per step", "MFLOP", "of the GEMM peak", "memory of a step, MB")
    return "\n\n".join(
        ("## Growth of a step", where(results), text, "![growth](figures/growth.png)", markdown(head, rows))
    )


def per_run(found: dict[str, Any]) -> dict[str, float]:
    """Return the milliseconds per run of every executor and kind of task of one grid."""
    return {
        f"{executor}, {kind}": 1e3 * value
        for executor, taken in found.items()
        if executor != "commands"
        for kind in ("train", "measure")
        for key, value in taken.items()
        if key in (f"{kind}_seconds", f"{kind}_seconds_per_run")
    }


def overhead_section(results: dict[str, Any]) -> str:
    """Return what a run costs besides its training, and what the commands take, by the number of runs."""
    grids = {int(runs): found for runs, found in results["grids"].items()}
    million = results["dry_run_million"]
    text = (
        f"A dry run of a grid of a million takes {million['seconds']:.2g} s ({million['cpu_seconds']:.2g} s of the"
        f" processor) and {million['peak_mb']:.0f} MB (goal: under 2 s and 200 MB). Milliseconds per run of scheduling"
        " and store, training and measuring left out (goal: under 50 and flat):"
    )
    keys = list(per_run(next(iter(grids.values()))))
    rows = [
        (f"{runs:,}", *(f"{per_run(found)[key]:.1f}" if key in per_run(found) else "not tried" for key in keys))
        for runs, found in grids.items()
    ]
    commands = list(next(iter(grids.values()))["commands"])
    taken = [
        (
            f"{runs:,}",
            *(
                f"{found['commands'][c]['cpu_seconds']:.1f} s, {found['commands'][c]['peak_mb']:.0f} MB"
                for c in commands
            ),
        )
        for runs, found in grids.items()
    ]
    return "\n\n".join(
        (
            "## Growth with the number of runs",
            where(results),
            text,
            markdown(("runs", *keys), rows),
            "Processor seconds and peak memory of commands on a complete folder:",
            markdown(("runs", *commands), taken),
        )
    )


def precision_section(results: dict[str, Any]) -> str:
    """Return what bfloat16 does to the measures."""
    head = ("measure", "float32", "bfloat16", "difference, mean [least, greatest]")
    rows = [
        (f"{r['arm']}: {r['measure']}", f"{r['float32']:.4g}", f"{r['bfloat16']:.4g}",
         f"{r['difference']:.2g} [{r['least']:.2g}, {r['greatest']:.2g}]")
        for r in results["rows"]
    ]  # fmt: skip
    text = (
        f"`--set train.precision=bfloat16` (opt-in, part of the run's id): the same runs in both, {results['steps']}"
        f" steps, means over seeds {results['seeds']}, paired differences."
    )
    return "\n\n".join(("## bfloat16", where(results), text, markdown(head, rows)))


def cpu_section(results: dict[str, Any]) -> str:
    """Return the CPU results."""
    from benchmarks.report_cpu import section

    return section(results)


def gpu_section(results: dict[str, Any]) -> str:
    """Return the GPU results."""
    from benchmarks.report_gpu import section

    return section(results)


NO_GPU = """## GPU

`python benchmarks/gpu.py` has not run on a GPU yet, so there are no numbers. Without a device it says so and writes
nothing; `--engine graph` is then refused by name. What the executors compute is tested against the loop on the CPU."""

#: Output, section, in the order of the page.
SECTIONS = (
    ("cpu", cpu_section),
    ("growth", growth_section),
    ("overhead", overhead_section),
    ("precision", precision_section),
    ("gpu", gpu_section),
)


def page(found: dict[str, dict[str, Any]]) -> str:
    """Return docs/performance.md from the outputs by name."""
    parts = [HEAD, *(section(found[name]) for name, section in SECTIONS if name in found)]
    return "\n\n".join(parts if "gpu" in found else [*parts, NO_GPU]) + "\n"


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the outputs that are there."""
    paths = {name: folder / f"{name}.json" for name, _ in SECTIONS}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.is_file()}


STYLES = (("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", "-."), ("#CC79A7", "v", ":"))
LABELS = {"size": "image side, pixels", "width": "width, channels", "scale": "scale of an upsampler"}


def figure(found: dict[str, dict[str, Any]]) -> Any:
    """Return how a step's time grows with size, width and scale, and a run's overhead with their number."""
    from matplotlib.figure import Figure

    rows = found["growth"]["rows"]
    factors = list(dict.fromkeys(r["factor"] for r in rows))
    drawn = Figure(figsize=(8.0, 2.4), layout="constrained")
    axes = drawn.subplots(1, len(factors) + ("overhead" in found))
    for ax, factor in zip(axes, factors, strict=False):
        _draw_steps(ax, [r for r in rows if r["factor"] == factor])
        ax.set(xlabel=LABELS[factor], ylim=(1, 1e3))
    axes[0].set_ylabel("processor ms per step")
    axes[0].legend(frameon=False, fontsize=6, title="dotted: at the GEMM peak", title_fontsize=6)
    if "overhead" in found:
        grids = {int(runs): per_run(taken) for runs, taken in found["overhead"]["grids"].items()}
        for key, (color, marker, line) in zip(next(iter(grids.values())), STYLES, strict=False):
            y = {runs: taken[key] for runs, taken in grids.items() if key in taken}
            axes[-1].plot(list(y), list(y.values()), color=color, marker=marker, linestyle=line, label=key)
        axes[-1].set(xscale="log", yscale="log", xlabel="runs of a grid", ylabel="ms per run, overhead", ylim=(1, 1e3))
        axes[-1].legend(frameon=False, fontsize=6)
    return drawn


def _draw_steps(ax: Any, rows: list[dict[str, Any]]) -> None:
    for arm, (color, marker, line) in zip(dict.fromkeys(r["arm"] for r in rows), STYLES, strict=False):
        chosen = [r for r in rows if r["arm"] == arm]
        x = [r["value"] for r in chosen]
        ax.plot(x, [r["step_ms"] for r in chosen], color=color, marker=marker, linestyle=line, label=arm)
        ax.plot(x, [r["step_ms"] * r["gemm_fraction"] for r in chosen], color=color, linewidth=0.8, linestyle=":")
    ax.set(xscale="log", yscale="log", xticks=x, xticklabels=[str(value) for value in x])
    ax.minorticks_off()


def main() -> int:
    """Write the page and its figures."""
    import io

    from checkerscope.experiments.store import disk

    found = load(ROOT / "benchmarks")
    if "growth" in found:
        data = io.BytesIO()
        figure(found).savefig(data, format="png", dpi=200, metadata={"Software": None})
        disk.write(ROOT / "docs" / "figures" / "growth.png", data.getvalue())
    disk.write(ROOT / "docs" / "performance.md", page(found).encode())
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
