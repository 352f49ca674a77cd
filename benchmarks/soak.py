"""Soak: a study of twelve runs, killed with SIGKILL at random moments two hundred times, must end as if it was not.

    python benchmarks/soak.py --kills 200 --seed 0 --output benchmarks/soak.json

The study is trained, measured and collected; its digest is taken over runs, measures and records (not over the
environments, which tell of the machine). First undisturbed, then in rounds: each attempt starts the three commands
again and is killed after a random processor time, until a round is complete; the next round begins in a new folder.
One attempt in ten is the command line with a spawned worker, killed with its whole process group; the others are forked
from this process, which has torch loaded already, so that most kills fall into the work and not into the start.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
CONFIG = PROJECT / "configs" / "smoke.toml"
#: The smoke study with twelve runs, each long enough for several checkpoints.
OVERRIDES = ("grid.seed=[0, 1, 2, 3, 4, 5]", "train.steps={steps}", "images.size=32", "measure.margin=8")
#: Seconds between checkpoints in forked attempts; five is usual, and longer than an attempt.
CHECKPOINT_SECONDS = 0.1
SPAWNED_EVERY = 10
COMMANDS = ("run", "measure", "collect")


def arguments(command: str, results: Path, steps: int, workers: int) -> list[str]:
    settings = [part for text in OVERRIDES for part in ("--set", text.format(steps=steps))]
    working = ["--workers", str(workers)] if command != "collect" else []
    return [command, str(CONFIG), *settings, "--results", str(results), *working]


def work(results: Path, steps: int) -> int:
    """Do the study in this process; return the first exit code that is not 0."""
    from checkerscope.experiments.__main__ import run
    from checkerscope.experiments.execution import checkpoints

    checkpoints.CHECKPOINT_SECONDS = CHECKPOINT_SECONDS
    return next((code for command in COMMANDS if (code := run(arguments(command, results, steps, 0)))), 0)


def forked(results: Path, steps: int, log: Path) -> int:
    """Start the study in a forked process and return its number."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os._exit(work(results, steps))
    return pid


def spawned(results: Path, steps: int, log: Path) -> int:
    """Start `checkerscope run` with one worker process, as a user does, and return its number."""
    command = [sys.executable, "-m", "checkerscope", *arguments("run", results, steps, 1)]
    with open(log, "ab") as output:
        return subprocess.Popen(command, cwd=PROJECT, stdout=output, stderr=output, start_new_session=True).pid


def killed(pid: int, seconds: float) -> int:
    """Kill a process group once it has used so much processor time; return how its leader ended.

    Processor time and not the clock, so that the kills fall on the same work however busy the machine is.
    """
    while used(pid) < seconds:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def used(session: int) -> float:
    """Return the seconds of processor time that the processes of a session have used."""
    total = 0
    for process in {f"/proc/{session}", *workers(session)}:
        with contextlib.suppress(OSError):
            total += int(Path(process, "schedstat").read_text().split()[0])
    return total / 1e9


def workers(session: int) -> list[str]:
    found: list[str] = []
    with contextlib.suppress(OSError):  # any thread may have started them
        for children in Path(f"/proc/{session}/task").glob("*/children"):
            found += [f"/proc/{child}" for child in children.read_text().split()]
    return found


def digest(results: Path) -> tuple[str, int]:
    """Return a digest of everything that the study promises, and the number of files."""
    root, state, count = results / "smoke", hashlib.sha256(), 0
    for path in sorted(p for folder in ("runs", "measures", "records") for p in (root / folder).rglob("*")):
        if path.is_file() and path.name != "environment.json":
            state.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
            count += 1
    return state.hexdigest(), count


def finished(results: Path) -> dict[str, int]:
    """Return the inode of every committed manifest: a run that is trained again gets another."""
    return {path.parent.name: path.stat().st_ino for path in (results / "smoke" / "runs").glob("*/run.json")}


def moment(results: Path) -> str:
    """Return what a killed study was doing, as far as its files tell."""
    root = results / "smoke"
    if len(finished(results)) < 12:
        partial = any(root.glob("work/*/commit-*"))
        return "committing" if partial else "training, with a checkpoint" if any(root.glob("work/*/0*")) else "training"
    return "measuring or collecting"


def soak(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    from checkerscope.experiments.store.verify import verify_folder

    generator, reference, log = random.Random(options.seed), folder / "reference", folder / "log"
    # in this process: the images and torch's late imports, a second of work, are then there in every fork
    assert work(reference, options.steps) == 0
    expected, files = digest(reference)
    kills, rounds, retrained, wrong, moments = Counter[str](), 0, 0, [], Counter[str]()
    last: dict[str, int] = {}
    attempt, under_way = 0, False
    while kills.total() < options.kills or under_way:  # the last round is finished too
        results = folder / f"round-{rounds}"
        kind = "spawned" if attempt % SPAWNED_EVERY == SPAWNED_EVERY - 1 else "forked"
        start, longest = (spawned, options.spawned_seconds) if kind == "spawned" else (forked, options.forked_seconds)
        enough = kills.total() >= options.kills
        code = killed(start(results, options.steps, log), 600 if enough else generator.uniform(0.02, longest))
        attempt, under_way = attempt + 1, True
        now = finished(results)
        retrained += sum(now.get(run) != inode for run, inode in last.items())
        last = now
        if code == -signal.SIGKILL:
            kills[kind] += 1
            moments[moment(results)] += 1
        elif code != 0:
            wrong.append(f"attempt {attempt} ended with {code}: {log.read_text()[-500:]}")
            break
        elif kind == "forked":
            if digest(results)[0] != expected:
                wrong.append(f"round {rounds}: another digest, {digest(results)[0]}")
            wrong += verify_folder(results)[1]
            rounds, last, under_way = rounds + 1, {}, False
    return {
        "kills": kills.total(), "kills by kind": dict(kills), "moments": dict(moments), "rounds": rounds,
        "attempts": attempt, "runs per round": 12, "files": files, "digest": expected,
        "finished runs trained again": retrained, "wrong": wrong,
    }  # fmt: skip


def main() -> int:
    from benchmarks.harness import output

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=150, help="steps per run")
    parser.add_argument("--forked-seconds", type=float, default=1.5, help="longest life, processor time")
    parser.add_argument("--spawned-seconds", type=float, default=6.0, help="longest life, processor time")
    output.add_option(parser)
    options, began = parser.parse_args(), time.monotonic()
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    from checkerscope.experiments.reporting import report  # noqa: F401 - loaded before the first fork

    with tempfile.TemporaryDirectory() as name:
        found = soak(Path(name), options)
    output.finish({**output.cost(began), **found}, options.output, "soak")
    return 1 if found["wrong"] or found["finished runs trained again"] else 0


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))
    sys.exit(main())
