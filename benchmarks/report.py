"""docs/performance.md from the committed outputs of the benchmarks; no number is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HEAD = """# Performance

Made by `make bench` from `benchmarks/*.json`; ratios are medians of interleaved runs (A B A B) in one process tree.
"""
#: key, what it says, goal.
ROWS = (
    ("study_ratio", "study throughput over a plain PyTorch script, models per minute", ">= 2.5"),
    ("nearest_ratio", "the same for nearest + conv alone", ">= 3"),
    ("spectra_ratio_numpy", "radial spectra of 10,000 images of 64 x 64 over a tidy numpy loop", ">= 5"),
    ("spectra_ratio_loop", "the same over the per-image azimuthal average", ">= 20"),
    ("measure_share_of_training", "all measures of a quick run over its training time", "< 0.05"),
    ("help_seconds", "`checkerscope --help`, seconds", "< 0.5"),
    ("list_seconds", "`checkerscope list upsamplers --json`, seconds", "< 0.5"),
    ("dry_run_seconds", "`checkerscope run configs/paper.toml --dry-run`, seconds", "< 2"),
)


def table(results: dict[str, Any]) -> str:
    """Return the CPU results as a Markdown table."""
    lines = ["| what | measured | goal |", "|---|---|---|"]
    lines += [f"| {what} | {results[key]:.3g} | {goal} |" for key, what, goal in ROWS if key in results]
    for arm, fraction in results.get("gemm_fraction", {}).items():
        goal = ">= 0.5" if arm.startswith("transposed") else ">= 0.6"
        lines.append(f"| fraction of the GEMM peak in training, {arm} | {fraction:.2f} | {goal} |")
    return "\n".join(lines)


def page(folder: Path) -> str:
    """Return docs/performance.md from the JSON files of a folder."""
    results = json.loads((folder / "cpu.json").read_text(encoding="utf-8"))
    machine = results["environment"]
    where = (
        f"{machine['processor']}, {machine['cores']} cores, one thread per worker, {results['workers']} workers,"
        f" torch {machine['packages']['torch']}, Python {machine['python']}, load {results['load'][0]:.1f}."
        f" Command: `{results['command']}`. One thread's float32 GEMM peak: {results['gemm_peak_gflops']:.0f} GFLOP/s."
    )
    parts = [HEAD, "## CPU", where, table(results)]
    notes = folder / "notes.md"
    if notes.is_file():
        parts.append(notes.read_text(encoding="utf-8").strip())
    return "\n\n".join(part.strip() for part in parts) + "\n"
