"""The figure of docs/performance.md: time of a step by size, width and scale, and overhead by number of runs."""

from __future__ import annotations

from typing import Any

from benchmarks.pages.overhead import per_run

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
