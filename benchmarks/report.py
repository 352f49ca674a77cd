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
#: key, what it says, goal.
ROWS = (
    ("study_ratio", "study throughput over a plain PyTorch script, models per minute", ">= 2.5"),
    ("nearest_ratio", "the same for nearest + conv alone", ">= 3"),
    ("spectra_ratio_numpy", "radial spectra of 10,000 images of 64 x 64 over a tidy numpy loop", ">= 5"),
    ("spectra_ratio_loop", "the same over the per-image azimuthal average", ">= 20"),
    ("measure_share_of_training", "all measures of a quick run over its training time", "< 0.05"),
    ("peak_memory_mb", "peak memory of a worker, MB", "< 1000"),
    ("help_seconds", "`checkerscope --help`, seconds", "< 0.5"),
    ("list_seconds", "`checkerscope list upsamplers --json`, seconds", "< 0.5"),
    ("dry_run_seconds", "`checkerscope run configs/paper.toml --dry-run`, seconds", "< 2"),
    ("warm_paper_seconds", "warm `checkerscope paper configs/quick.toml`, seconds", "< 30"),
)


def cpu_table(results: dict[str, Any]) -> str:
    """Return the CPU results as a Markdown table; a goal that is missed says so."""
    rows = [
        (what, f"{results[key]:.3g}", goal, _holds(results[key], goal)) for key, what, goal in ROWS if key in results
    ]
    for arm, fraction in results.get("gemm_fraction", {}).items():
        goal = f">= {gemm_goal(arm)}"
        what = f"fraction of the GEMM peak in training, {arm}"
        rows.append((what, f"{fraction:.2f}", goal, _holds(round(fraction, 2), goal)))
    return markdown(("what", "measured", "goal", ""), rows)


def _holds(value: float, goal: str) -> str:
    sign, number = goal.split()
    return "" if (value >= float(number) if sign == ">=" else value < float(number)) else "missed"


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


def cpu_section(results: dict[str, Any]) -> str:
    """Return the CPU results with what explains them."""
    share = results["profile"]
    known = {family for arm in share.values() for family in arm}
    families = sorted(known, key=lambda family: -sum(arm.get(family, 0.0) for arm in share.values()))
    profile = [
        (arm, f"{results['step_ms'][arm]:.1f}", *(f"{100 * s.get(f, 0):.0f}" for f in families))
        for arm, s in share.items()
    ]
    parts = ["## CPU", where(results), cpu_table(results), _made_of(results), limit(results)]
    table = markdown(("arm", "ms per step", *families), profile)
    return "\n\n".join([*filter(None, parts), table, _kernels(results, "nearest_conv")])


def _kernels(results: dict[str, Any], arm: str) -> str:
    slowest = sorted(results["kernels"][arm].items(), key=lambda item: -item[1]["ms"])[:12]
    rows = [
        (name, f"{e['ms']:.2f}", f"{e['attainable_ms']:.2f}", f"{e['attainable_ms'] / e['ms']:.2f}")
        for name, e in slowest
    ]
    text = (
        f"A step of `{arm}` kernel by kernel, and what the measured ceilings allow each (the GEMM peak for its"
        f" operations, a copy's {results['copy_gb_per_second']:.0f} GB/s for its bytes, the slower of both). Shapes:"
        " batch x channels x side x side of what goes in (of gradient and input on the way back), then the kernel."
    )
    return f"{text}\n\n" + markdown(("kernels", "ms", "attainable, ms", "fraction"), rows)


def _made_of(results: dict[str, Any]) -> str:
    if "models_per_minute" not in results:
        return "The ratios to the plain script are missing: they were not taken, since the machine was busy."
    rates = results["models_per_minute"]
    alone, workers = results["one_thread_ratio"], results["worker_speedup"]
    return (
        "What the study's ratio is made of, from rounds of their own: one thread of this project's training is"
        f" {alone:.2f} times as fast as one thread of the plain script (merged kernels, channels last, resident images,"
        f" fused Adam); {results['workers']} workers are {workers:.2f} times as fast as one; default threads make the"
        f" script {results['plain_thread_speedup']:.2f} times as fast as one thread. The ratio is the first times the"
        f" second over the third. Models of {results['steps']} steps per minute: study {rates['study']['ours']:.1f}"
        f" against {rates['study']['plain']:.1f}, nearest + conv {rates['nearest']['ours']:.1f} against"
        f" {rates['nearest']['plain']:.1f}."
    )


def limit(results: dict[str, Any]) -> str:
    """Return what bounds the ratio and the GEMM fraction, in words before the profile."""
    said = (
        f"One thread multiplies float32 matrices at {results['gemm_peak_gflops']:.0f} GFLOP/s. Where the time of a step"
        " goes, in % of it, as torch's profiler sees it. Only convolutions do what the GEMM fraction counts: the other"
        " columns are lost to it, and what the convolutions lack beyond that is the efficiency of oneDNN's kernels at 3"
        " to 64 channels. A merged nearest + conv does fewer operations than the resize and convolution that it equals."
    )
    if "study_ratio" not in results:
        return said
    taken, fractions = results["step_ms"], results["gemm_fraction"]
    total = sum(taken.values())
    as_asked = sum(ms * min(1.0, fractions[arm] / gemm_goal(arm)) for arm, ms in taken.items())
    convolving = sum(
        ms * sum(share for family, share in results["profile"][arm].items() if "convolutions" in family)
        for arm, ms in taken.items()
    )
    at_peak = sum(ms * fractions[arm] for arm, ms in taken.items())
    ratio = results["study_ratio"]
    return (
        f"What the study's ratio could be, from these steps: {ratio * total / as_asked:.2f} if every arm reached its"
        f" goal of the GEMM peak, {ratio * total / convolving:.2f} if everything but convolutions were free, and"
        f" {ratio * total / at_peak:.2f} if convolutions ran at the peak, too. So the ratio's goal asks for"
        f" {2.5 / ratio * at_peak / total:.2f} of the peak in the mean (the goals of the fractions are 0.5 and 0.6)."
        f" {said}"
    )


def gemm_goal(arm: str) -> float:
    """Return the fraction of the GEMM peak that an arm should reach."""
    return 0.5 if arm.startswith("transposed") else 0.6


def growth_section(results: dict[str, Any]) -> str:
    """Return how a step's cost grows."""
    rows = [
        (r["arm"], f"{r['factor']} {r['value']}", f"{r['step_ms']:.1f}", f"{r['mflop_per_step']:.0f}",
         f"{r['gemm_fraction']:.2f}", f"{r['step_memory_mb']:.0f}")
        for r in results["rows"]
    ]  # fmt: skip
    base = ", ".join(f"{key} {value}" for key, value in results["base"].items())
    text = f"One factor at a time around {base}; processor milliseconds of one thread, batch 16."
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
        (f"{runs:,}", *(f"{per_run(found)[key]:.1f}" if key in per_run(found) else "" for key in keys))
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

    from experiments import store

    found = load(ROOT / "benchmarks")
    if "growth" in found:
        data = io.BytesIO()
        figure(found).savefig(data, format="png", dpi=200, metadata={"Software": None})
        store.write(ROOT / "docs" / "figures" / "growth.png", data.getvalue())
    store.write(ROOT / "docs" / "performance.md", page(found).encode())
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
