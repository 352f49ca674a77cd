"""The audits of docs/audit.md: runs every command, keeps its output under docs/audit/, and writes it into the page.

    python -m benchmarks.audit_examples            # all of them
    python -m benchmarks.audit_examples hifigan    # one of them

Needs the extra `audit-examples`. Each audit is the command line in a process of its own, so that its time is what a
user waits for: imports included.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from checkerscope.analysis.audit.report import Layer, Report
from checkerscope.experiments.study import provenance

ROOT = Path(__file__).parent.parent
OUTPUT, PAGE = ROOT / "docs" / "audit", ROOT / "docs" / "audit.md"
#: Name of the factory, the package that it comes from, input, and a picture or none.
EXAMPLES = (
    ("autoencoder_kl", "diffusers", "1,4,16,16", False),
    ("monai_unet", "monai", "1,1,64,64", True),
    ("swin2sr", "transformers", "1,3,32,32", False),
    ("hifigan", "transformers", "1,80,32", False),
)


def command(name: str, shape: str) -> list[str]:
    """Return the words of one audit, as a user types them, without the time that a search for cures takes."""
    return ["audit", f"benchmarks.audit_models:{name}", "--input", shape, "--cures", "0"]


def run(name: str, package: str, shape: str, has_picture: bool) -> dict[str, Any]:
    """Return what one audit printed and cost, and keep its files."""
    words = command(name, shape)
    found, code, cost = _timed([*words, "--json"])
    if has_picture:
        _timed([*words, "--picture", str(OUTPUT / f"{name}.png")])
    record = {
        "command": " ".join(["checkerscope", *words, *(["--picture", f"{name}.png"] if has_picture else [])]),
        "exit_code": code,
        "parameters": _parameters(name),
        "package": f"{package} {metadata.version(package)}",
        "cost": cost,
        "report": json.loads(found),
    }
    (OUTPUT / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _timed(words: list[str]) -> tuple[str, int, dict[str, float]]:
    """Run the command line; return its output, its exit code, and wall and processor seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "checkerscope", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    cost = {
        "wall_seconds": round(time.perf_counter() - start, 1),
        "processor_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "load_before": round(os.getloadavg()[0], 1),
    }
    return done.stdout, done.returncode, cost


def printed(plain: dict[str, Any]) -> str:
    """Return what the command prints for the report that `--json` gave."""
    layers = tuple(Layer(**layer) for layer in plain["layers"])
    return str(Report(**{**{key: value for key, value in plain.items() if key != "trials"}, "layers": layers}))


def _parameters(name: str) -> int:
    from benchmarks import audit_models

    return sum(p.numel() for p in getattr(audit_models, name)().parameters())


def page(text: str) -> str:
    """Return docs/audit.md with the table and the outputs between its markers made anew."""
    records = {name: json.loads((OUTPUT / f"{name}.json").read_text(encoding="utf-8")) for name, *_ in EXAMPLES}
    head, rest = text.split("<!-- examples -->\n")
    tail = rest.split("<!-- end of examples -->\n")[1]
    machine = json.loads((OUTPUT / "machine.json").read_text(encoding="utf-8"))
    parts = [_table(records), _where(machine, records)]
    for name, record in records.items():
        parts.append(
            f"### {name}, {record['package']}\n\n```\n$ {record['command']}\n{printed(record['report'])}\n$ echo $?\n"
            f"{record['exit_code']}\n```"
        )
        if (OUTPUT / f"{name}.png").is_file():
            parts.append(f"![The picture of the audit of {name}](audit/{name}.png)")
    return head + "<!-- examples -->\n" + "\n\n".join(parts) + "\n<!-- end of examples -->\n" + tail


def _table(records: dict[str, Any]) -> str:
    lines = [
        "| decoder | parameters | input | enlarges by | tone, dB | clean | processor s | wall s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, record in records.items():
        report, cost = record["report"], record["cost"]
        kinds = ", ".join(dict.fromkeys(layer["kind"] for layer in report["layers"]))
        tone = "none" if report["tone_db"] <= -200 else f"{report['tone_db']:.1f}"
        lines.append(
            f"| `{name}` | {record['parameters'] / 1e6:.1f} M | {record['command'].split()[4]} |"
            f" {len(report['layers'])} x {kinds} | {tone} | {'yes' if report['clean'] else 'no'} |"
            f" {cost['processor_seconds']} | {cost['wall_seconds']} |"
        )
    return "\n".join(lines)


def _where(machine: dict[str, Any], records: dict[str, Any]) -> str:
    largest = max(records.values(), key=lambda record: record["parameters"])
    loads = sorted(record["cost"]["load_before"] for record in records.values())
    return (
        f"Seconds are of the whole command, imports included, on {machine['processor']}, {machine['cores']} cores,"
        f" {machine['threads']} thread(s), Python {machine['python']}, torch {machine['packages']['torch']}; seed 0"
        f" throughout. The machine was shared: wall seconds are under a load of {loads[0]:.0f} to {loads[-1]:.0f} and"
        f" say little. The audit of {largest['parameters'] / 1e6:.1f} million parameters took"
        f" {largest['cost']['processor_seconds']} seconds of one core."
    )


def main() -> None:
    """Run the examples that are named, or all, and write the page."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for example in EXAMPLES:
        if not sys.argv[1:] or example[0] in sys.argv[1:]:
            record = run(*example)
            print(example[0], record["cost"], record["report"]["verdict"], flush=True)
    machine = provenance.environment("cpu")
    machine.pop("host")
    (OUTPUT / "machine.json").write_text(json.dumps(machine, indent=1) + "\n", encoding="utf-8")
    if all((OUTPUT / f"{name}.json").is_file() for name, *_ in EXAMPLES):
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
