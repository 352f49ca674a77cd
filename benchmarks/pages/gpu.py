"""The GPU section of docs/performance.md, from benchmarks/gpu.json."""

from __future__ import annotations

from typing import Any

from benchmarks.pages import markdown


def section(results: dict[str, Any]) -> str:
    """Return the GPU results."""
    limits, stream = results["ceilings"], results["stream"]
    text = (
        f"Ceilings as measured: {limits['flops'] / 1e12:.1f} TFLOP/s (float32 GEMM without TF32) and"
        f" {limits['bytes'] / 1e12:.2f} TB/s (a copy). The attainable time of a step is the sum over its operators of"
        f" what the slower ceiling allows each. {results['arm']}, batch 16, float32; a model is 300 steps; the loop"
        " trains one model after the other. `--engine auto` times a few steps of each and takes the fastest. Goals: 10"
        " times the loop for small models, 0.5 of the roofline for large ones; missed where the columns say less: by"
        " one small model alone, and by the large ones, for the reason below. GB is the peak of device"
        " memory, what the graphs of earlier rows hold included: an upper bound."
    )
    streamed = (
        f"The mean spectrum of {stream['images']:,} images of {stream['size']} x {stream['size']} through a model from"
        f" the store (drawn on the device, {stream['held']:,} at a time, forward pass included):"
        f" {stream['seconds']:.1f} s, {stream['images_per_second'] / 1e3:.0f} thousand images per second and"
        f" {stream['memory_mb'] / 1024:.1f} GB, whatever their number; one thread of that machine's processor makes"
        f" {stream['images_per_second_on_one_cpu_thread']:.0f} per second."
    )
    parts = (markdown.where(results), text, _gpu_rows(results["rows"]), _gpu_profile(results["profile"]))
    return "\n\n".join(("## GPU", *parts, _gpu_precisions(results), streamed, GPU_TESTS))


def _gpu_rows(rows: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(r["executor"] for r in rows))
    cells = []
    for side, width, models in dict.fromkeys((r["side"], r["width"], r["models"]) for r in rows):
        own = {r["executor"]: r for r in rows if (r["side"], r["models"]) == (side, models)}
        taken = [f"{own[n]['step_ms']:.2f}" if "step_ms" in own[n] else own[n]["refused"] for n in names]
        best = min((r for r in own.values() if "step_ms" in r), key=lambda r: r["step_ms"])
        faster = own["loop"]["step_ms"] / best["step_ms"]
        rates = (f"{best['models_per_minute_of_300_steps']:.0f}", f"{best['flops'] / 1e12:.2f}")
        ends = (f"{best['bytes'] / 1e12:.2f}", f"{best['of_roofline']:.2f}", f"{best['memory_mb'] / 1024:.1f}")
        cells.append((f"{side}, width {width}", str(models), *taken, best["executor"], f"{faster:.1f}", *rates, *ends))
    head = ("side", "models", *(f"{n}, ms" for n in names), "fastest", "over the loop", "models per minute")
    return markdown.table((*head, "TFLOP/s", "TB/s", "of the roofline", "GB"), cells)


def _gpu_profile(profile: dict[str, dict[str, float]]) -> str:
    taken = sum(entry["device_ms"] for entry in profile.values())
    best = sum(entry["attainable_ms"] for entry in profile.values())
    slowest = sorted(profile.items(), key=lambda item: -item[1]["device_ms"])[:10]
    rows = [
        (name, f"{e['device_ms']:.2f}", f"{e['attainable_ms']:.2f}", f"{e['attainable_ms'] / e['device_ms']:.2f}")
        for name, e in slowest
        if e["device_ms"]
    ]
    name, worst = slowest[0]
    text = (
        f"Where a step of the largest model goes: kernels take {taken:.2f} ms; the ceilings allow {best:.2f} ms. What"
        f" is lost is cuDNN's float32 convolutions: `{name}` alone takes {100 * worst['device_ms'] / taken:.0f} % of"
        f" the step, {worst['device_ms'] / worst['attainable_ms']:.0f} times as long as the ceilings allow. No"
        " executor changes that; TF32 and bfloat16 do (below). Shapes: batch x channels x side x side of what goes in"
        " (of gradient and input on the way back), then the kernel."
    )
    return f"{text}\n\n" + markdown.table(("kernels", "ms", "attainable, ms", "fraction"), rows)


def _gpu_precisions(results: dict[str, Any]) -> str:
    alone = [r for r in results["rows"] if (r["executor"], r["models"]) == ("graph", 1)]
    exact = {r["side"]: r["step_ms"] for r in alone}
    rows = [r for r in results["precisions"] if r["precision"] != "float32"]  # which is among the rows above
    cells = [
        (f"{r['side']}, width {r['width']}", r["precision"], f"{r['step_ms']:.2f}",
         f"{exact[r['side']] / r['step_ms']:.1f}", f"{r['memory_mb']:.0f}")
        for r in rows
    ]  # fmt: skip
    text = "One captured step of one model in the precisions that are opt-in and part of a run's id:"
    return f"{text}\n\n" + markdown.table(("side", "precision", "ms", "over float32", "MB"), cells)


#: What of the test suite needs a device.
GPU_TESTS = (
    "On a device the tests also compare `graph` with the loop (float64, 1e-12 after 50 Adam steps), look for hidden"
    " synchronisation in a step with the profiler, and take every measure where the images lie."
)
