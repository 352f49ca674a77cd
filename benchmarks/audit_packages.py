"""Audits of other people's decoders, each beside a check of its own that knows nothing of the audit.

    pip install -c constraints.txt 'checkerscope[audit-examples]'
    python -m benchmarks.audit_packages UNet Dac     # some of them, printed; without names, all
    python -m benchmarks.audit_packages --write      # all, also into docs/audit/packages.json and docs/audit.md

A decoder that takes longer than `--limit` seconds is left out and named.

Small configs, random weights, seed 0. The check: the plain model on constant inputs of a map several times as long
where the model takes one, for two seeds, without padding made periodic and without watching; the grid is that of the
phase means in the inner eighth, in dB of the contrast on noise: what padding leaves fades inwards, a grid does not. A
verdict of "clean" has to agree with it; where a network normalizes by its own map a constant input may hide a grid, so
that the other way round it says nothing.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import warnings
from importlib import metadata
from math import lcm, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from checkerscope.analysis.audit import audit
from checkerscope.analysis.audit.report import Report

if TYPE_CHECKING:
    from benchmarks.audit_decoders import Decoder

ROOT = Path(__file__).parent.parent
OUTPUT, PAGE = ROOT / "docs" / "audit" / "packages.json", ROOT / "docs" / "audit.md"
SEEDS = (0, 1)
#: How many times as long the check's map is per axis, by number of axes; shorter where the model takes no other size.
LONGER = {1: (16, 1), 2: (8, 2, 1), 3: (2, 1)}


def row(name: str, decoder: Decoder) -> dict[str, Any]:
    """Return what the audit and the check say of one decoder."""
    torch.manual_seed(0)
    model = decoder.build().eval()
    x = torch.randn(decoder.shape, generator=torch.Generator().manual_seed(0))
    start = time.perf_counter()
    try:
        report = audit(model, x)
    except ValueError as error:
        return {"decoder": name, "package": decoder.package, "refused": str(error)}
    seconds = time.perf_counter() - start
    kinds: dict[str, int] = {}
    for layer in report.layers:
        kinds[layer.kind] = kinds.get(layer.kind, 0) + 1
    return {
        "decoder": name,
        "package": decoder.package,
        "shape": list(decoder.shape),
        "found": kinds,
        "judgement": report.judgement,
        "tone_db": report.tone_db,
        "parts_off_by_db": _off(report),
        "verdict": report.verdict,
        "notes": list(report.notes),
        "check_db": check(model, x, report),
        "seconds": round(seconds, 2),
    }


def _off(report: Report) -> float | None:
    """Return how far the parts of the layers and the rest are from the tone, in dB."""
    if report.tone_db is None or report.tone_db <= -200 or report.rest_db is None:
        return None
    parts = [layer.output_db for layer in report.layers if layer.output_db is not None] + [report.rest_db]
    return abs(10 * log10(sum(10 ** (part / 10) for part in parts)) - report.tone_db)


def check(model: nn.Module, x: Tensor, report: Report) -> float | None:
    """Return the strongest grid on constant inputs in dB of the contrast on noise; None for no map to look at."""
    return max((found for seed in SEEDS if (found := _grid(model, x, report, seed)) is not None), default=None)


def _grid(model: nn.Module, x: Tensor, report: Report, seed: int) -> float | None:
    generator = torch.Generator().manual_seed(seed)
    level = torch.randn(*x.shape[:2], *(1,) * (x.dim() - 2), generator=generator)
    for times in LONGER[x.dim() - 2] if x.dim() > 2 else (1,):
        shape = (*x.shape[:2], *(n * times if n > 1 else n for n in x.shape[2:]))
        try:
            flat = _map(_called(model, level.expand(shape).contiguous()))
            varied = _map(_called(model, torch.randn(shape, generator=generator)))
        except Exception:  # of fixed size
            continue
        if flat is None or varied is None:
            return None
        period = lcm(*(report.period or (1,)), *(round(s) for layer in report.layers for s in layer.scale if s > 1))
        inner, contrast = _inner(flat, period), _inner(varied, 1).var(correction=0)
        return float(10 * (_phases(inner, period) / contrast).clamp_min(1e-20).log10())
    return None


def _called(model: nn.Module, x: Tensor) -> Any:
    torch.manual_seed(0)
    with torch.no_grad():
        return model(x)


def _map(output: Any) -> Tensor | None:
    leaves = [t for t in torch.utils._pytree.tree_leaves(output) if isinstance(t, Tensor) and t.is_floating_point()]
    largest = max(leaves, key=Tensor.numel, default=None)
    return None if largest is None or largest.dim() < 2 else largest.double()


def _inner(x: Tensor, period: int) -> Tensor:
    """Return the inner eighth of a map along its last axes, in whole periods and not less than two."""
    for axis in range(x.dim() - (2 if x.dim() > 3 else 1), x.dim()):
        length = max(x.shape[axis] // 8 // period, 2) * period
        start = max(x.shape[axis] - length, 0) // 2 // period * period
        x = x.narrow(axis, start, min(length, x.shape[axis]))
    return x


def _phases(x: Tensor, period: int) -> Tensor:
    """Return the mean square of the phase means around their mean, over the last axes."""
    axes = [axis for axis in range(x.dim() - (2 if x.dim() > 3 else 1), x.dim()) if x.shape[axis] % period == 0]
    means = x
    for axis in axes:
        means = means.unflatten(axis, (-1, period)).mean(axis).movedim(axis, axis)
    return (means - means.mean(axes, keepdim=True)).square().mean()


def page(text: str, rows: list[dict[str, Any]]) -> str:
    """Return docs/audit.md with the table between its markers made anew."""
    head, rest = text.split("<!-- packages -->\n")
    tail = rest.split("<!-- end of packages -->\n")[1]
    return head + "<!-- packages -->\n" + table(rows) + "\n<!-- end of packages -->\n" + tail


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table, and what follows from it."""
    lines = [
        "| decoder | package | enlarges by | judgement | tone, dB | check, dB | s |",
        "|---|---|---|---|---|---|---|",
    ]
    left = [f"{one['decoder']} ({one['left_out']})" for one in rows if "left_out" in one]
    rows = [one for one in rows if "left_out" not in one]
    for one in rows:
        if "refused" in one:
            lines.append(f"| {one['decoder']} | {one['package']} | | refused: {one['refused']} | | | |")
            continue
        kinds = ", ".join(f"{count} x {kind}" for kind, count in one["found"].items()) or "nothing"
        cells = [one["decoder"], one["package"], kinds, one["judgement"], _db(one["tone_db"]), _db(one["check_db"])]
        lines.append(f"| {' | '.join(cells)} | {one['seconds']:.1f} |")
    clean = [one for one in rows if one.get("judgement") == "clean"]
    agree = sum(one["check_db"] is not None and one["check_db"] < -50 for one in clean)
    unlike = max((one["parts_off_by_db"] or 0.0 for one in rows if "refused" not in one), default=0.0)
    lines += [
        "",
        f"{len(rows)} decoders, {sum('refused' in one for one in rows)} refused, none crashed. Of {len(clean)} that are"
        f" called clean the check agrees with {agree}. The parts of the layers add up to the tone within"
        f" {max(unlike, 1e-9):.1g} dB.",
    ]
    if left:
        lines += ["", f"Left out: {'; '.join(left)}."]
    return "\n".join(lines)


def _db(value: float | None) -> str:
    return "-" if value is None else "none" if value <= -150 else f"{value:.1f}"


class _TooLong(BaseException):
    """A decoder took too long; the audit turns any exception of a model into a refusal, but not this."""


def limited(name: str, decoder: Decoder, seconds: int) -> dict[str, Any]:
    """Return the row of a decoder, or that it took too long."""

    def ring(number: int, frame: object) -> None:
        raise _TooLong

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        return row(name, decoder)
    except _TooLong:
        return {"decoder": name, "package": decoder.package, "left_out": f"took more than {seconds} s"}
    finally:
        signal.alarm(0)


def main() -> None:
    """Audit the decoders that are named, or all; write the table where that is asked for."""
    from benchmarks.audit_decoders import DECODERS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="Part of a decoder's name. Without one, all.")
    parser.add_argument("--write", action="store_true", help="Write the table of all into docs; not with names.")
    parser.add_argument("--limit", type=int, default=90, metavar="SECONDS", help="Of one decoder.")
    arguments = parser.parse_args()
    unknown = [part for part in arguments.names if not any(part in name for name in DECODERS)]
    if unknown or (arguments.write and arguments.names):
        parser.error(f"no decoder: {', '.join(unknown)}" if unknown else "--write: expected no names; it is for all")
    rows = []
    for name, decoder in DECODERS.items():
        if not arguments.names or any(part in name for part in arguments.names):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                rows.append(limited(name, decoder, arguments.limit))
            print(json.dumps(rows[-1]), flush=True)
    if arguments.write:
        write(rows)


def write(rows: list[dict[str, Any]]) -> None:
    """Write all rows, with the versions that they were made with, and the page's table."""
    versions = {package: metadata.version(package) for package in sorted({one["package"] for one in rows})}
    record = {"packages": {**versions, "torch": torch.__version__}, "rows": rows}
    OUTPUT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
