"""docs/performance.md from the outputs of the benchmarks by name; no number is typed by hand."""

from __future__ import annotations

from typing import Any

from benchmarks.pages import cpu, gpu, markdown
from benchmarks.pages.overhead import per_run

HEAD = """# Performance

Made by `python benchmarks/report.py` from `benchmarks/*.json`; every number below is in one of them. Ratios are medians
of rounds that are interleaved (A B A B) in one run."""


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
    picture = "![growth](figures/growth.png)"
    return "\n\n".join(("## Growth of a step", markdown.where(results), text, picture, markdown.table(head, rows)))


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
            markdown.where(results),
            text,
            markdown.table(("runs", *keys), rows),
            "Processor seconds and peak memory of commands on a complete folder:",
            markdown.table(("runs", *commands), taken),
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
    return "\n\n".join(("## bfloat16", markdown.where(results), text, markdown.table(head, rows)))


NO_GPU = """## GPU

`python benchmarks/gpu.py` has not run on a GPU yet, so there are no numbers. Without a device it says so and writes
nothing; `--engine graph` is then refused by name. What the engines compute is tested against the loop on the CPU."""

#: Output, section, in the order of the page.
SECTIONS = (
    ("cpu", cpu.section),
    ("growth", growth_section),
    ("overhead", overhead_section),
    ("precision", precision_section),
    ("gpu", gpu.section),
)


def page(found: dict[str, dict[str, Any]]) -> str:
    """Return docs/performance.md from the outputs by name."""
    parts = [HEAD, *(section(found[name]) for name, section in SECTIONS if name in found)]
    return "\n\n".join(parts if "gpu" in found else [*parts, NO_GPU]) + "\n"
