"""The CPU section of docs/performance.md, from benchmarks/cpu.json, and the table that `make bench` prints."""

from __future__ import annotations

from typing import Any

from benchmarks.pages import markdown

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


def table(results: dict[str, Any]) -> str:
    """Return the CPU results as a Markdown table; a goal that is missed says so."""
    rows = [
        (what, f"{results[key]:.3g}", goal, _holds(results[key], goal)) for key, what, goal in ROWS if key in results
    ]
    for arm, fraction in results.get("gemm_fraction", {}).items():
        goal = f">= {gemm_goal(arm)}"
        what = f"fraction of the GEMM peak in training, {arm}"
        rows.append((what, f"{fraction:.2f}", goal, _holds(round(fraction, 2), goal)))
    return markdown.table(("what", "measured", "goal", ""), rows)


def _holds(value: float, goal: str) -> str:
    sign, number = goal.split()
    return "" if (value >= float(number) if sign == ">=" else value < float(number)) else "missed"


def section(results: dict[str, Any]) -> str:
    """Return the CPU results with what explains them."""
    share = results["profile"]
    known = {family for arm in share.values() for family in arm}
    families = sorted(known, key=lambda family: -sum(arm.get(family, 0.0) for arm in share.values()))
    profile = [
        (arm, f"{results['step_ms'][arm]:.1f}", *(f"{100 * s.get(f, 0):.0f}" for f in families))
        for arm, s in share.items()
    ]
    parts = ["## CPU", markdown.where(results), table(results), _made_of(results), limit(results)]
    taken = markdown.table(("arm", "ms per step", *families), profile)
    return "\n\n".join([*filter(None, parts), taken, _kernels(results, "nearest_conv")])


def _kernels(results: dict[str, Any], arm: str) -> str:
    slowest = sorted(results["kernels"][arm].items(), key=lambda item: -item[1]["ms"])[:12]
    rows = [
        (name, f"{e['ms']:.2f}", f"{e['attainable_ms']:.2f}", f"{e['attainable_ms'] / e['ms']:.2f}")
        for name, e in slowest
    ]
    text = (
        f"A step of `{arm}` kernel by kernel, and what the measured ceilings allow each (the GEMM peak for its"
        f" operations, a copy's {results['copy_gb_per_second']:.0f} GB/s for its bytes, the slower of both). Shapes:"
        " batch x channels x side x side of what goes in (of gradient and input on the way back), then the kernel. A"
        " fraction above 1 beat the copy: its data were in the cache."
    )
    return f"{text}\n\n" + markdown.table(("kernels", "ms", "attainable, ms", "fraction"), rows)


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
