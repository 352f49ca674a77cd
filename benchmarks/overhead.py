"""What a run costs besides its training: the executors, the store, and every command that looks at a results folder.

    python benchmarks/overhead.py [--output PLACE]

Trains and measures one run of configs/quick.toml with one step, and then lets workers commit its files again and again
under the ids of grids of 10 to 10,000 runs, through the real store with all its fsyncs; processor seconds are those of
all processes that take part. Every command then looks at the folder in a process of its own; seconds and peak memory
are the kernel's. Through Dask the measures of at most 1,000 runs are stored. No number here is a test.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "configs" / "quick.toml"
SEEDS = 5
#: The largest grid whose measures are stored through Dask, too: nothing looks at that folder.
MEASURED = 1000
#: Starts a command and says what it took; a process of its own, since a child's peak memory begins at its parent's.
LAUNCHER = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
print(json.dumps({"status": status, "seconds": time.perf_counter() - began,
                  "cpu_seconds": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}))
"""
#: In this order: `status` keeps what `run` and itself hashed, which spares the rest that.
COMMANDS = ("run", "status", "measure", "collect", "verify")
#: What makes the grid of a million of the dry run.
MILLION = (f"grid.seed={list(range(1000))}", f"grid.train.batch_size={list(range(1, 1001))}")


def overrides(runs: int, name: str) -> tuple[str, ...]:
    """Return what turns the quick study into `runs` runs of one step: learning rates times seeds, one upsampler."""
    rates = [round(1e-4 * (1 + index / runs), 12) for index in range(max(1, runs // SEEDS))]
    return (
        *(f'study.name="{name}"', "train.steps=1", "exclude=[]"),
        *('grid.upsampler=["nearest_conv"]', 'grid.initializer=["default"]'),
        *(f"grid.seed={list(range(min(runs, SEEDS)))}", f"grid.train.learning_rate={rates}"),
    )


def commit_again(canonical: str, place: Any, template: str) -> dict[str, Any]:
    """Do what a training and a measuring leave behind, without doing them: the files of run `template`."""
    from checkerscope.experiments.store.runs import Store
    from checkerscope.experiments.study.spec import RunSpec

    spec = RunSpec.model_validate_json(canonical)
    store, source = place.store, Store(Path(place.results), "template")
    with store.lock(spec.id) as held:
        if not held or store.is_finished(spec.id):
            return {"status": "present"}
        record = source.record(template)
        files = {name: source.load(template, name) for name in record["files"]}
        kept = {key: value for key, value in record.items() if key not in ("files", "run", "format")}
        store.commit(spec.id, {**files, "spec.json": canonical.encode()}, kept, source.environment(template))
    return {"status": "done"}


def measure_again(canonical: str, place: Any, template: str) -> dict[str, Any]:
    """The same for the measures."""
    from checkerscope.experiments.store.runs import Store
    from checkerscope.experiments.study.spec import RunSpec

    spec = RunSpec.model_validate_json(canonical)
    store, source = place.store, Store(Path(place.results), "template")
    with store.lock(spec.id):
        for path in sorted((source.root / "measures" / template).glob("*.json")):
            body, arrays = source.load_measure(template, path.stem) or ({}, {})
            store.save_measure(spec.id, path.stem, {key: body[key] for key in ("stamp", "values")}, arrays)
    return {"status": "done"}


def make_template(results: Path) -> str:
    """Train and measure one run for its files; return its id."""
    from checkerscope.experiments.execution.session import Session

    session = Session.open(CONFIG, (*overrides(1, "template"),), results, count=0)
    with contextlib.closing(session):
        assert session.train() == session.measure() == []
        return next(session.runs()).spec.id


def fill(results: Path, runs: int, name: str, pool: Pool, template: str) -> dict[str, Any]:
    """Commit `runs` runs through an executor of two workers; return seconds per run."""
    from benchmarks import overhead  # by its name: workers import it
    from checkerscope.experiments.execution.session import Session
    from checkerscope.experiments.workers import scheduler

    session = Session.open(CONFIG, overrides(runs, name), results)
    session.store.prepare()
    place = session._place()
    taken: dict[str, Any] = {}
    for verb, function in (("train", overhead.commit_again), ("measure", overhead.measure_again)):
        if verb == "measure" and runs > MEASURED and not name.startswith("local"):
            continue
        calls = (scheduler.Call(run.spec.id, function, (run.spec.canonical, place, template)) for run in session.runs())
        began, cpu = time.perf_counter(), pool.cpu_seconds()
        summary = scheduler.execute(calls, pool.executor, window=4, done=lambda key, result: None)
        taken[f"{verb}_seconds_per_run"] = (time.perf_counter() - began) / runs
        taken[f"{verb}_cpu_seconds_per_run"] = (pool.cpu_seconds() - cpu) / runs
        assert summary.count() == {"done": runs}, summary.failures()[:3]
    return taken


def look(results: Path, runs: int, name: str) -> dict[str, Any]:
    """Return what each command takes on a results folder that is complete."""
    words = [word for override in overrides(runs, name) for word in ("--set", override)]
    taken = {}
    for command in COMMANDS:
        options = [str(results / name)] if command == "verify" else [str(CONFIG), "--results", str(results), *words]
        options += ["--yes"] if command == "run" else []
        taken[command] = used([sys.executable, "-m", "checkerscope", command, *options])
    return taken


def used(words: list[str]) -> dict[str, float]:
    """Run a command and return its seconds, processor seconds and peak memory in MB."""
    launched = [sys.executable, "-S", "-c", LAUNCHER, *words]
    done = subprocess.run(launched, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    assert found.pop("status") == 0, f"{words}: {done.stderr}"
    return found


def dry_run() -> dict[str, float]:
    """Return what counting a million runs takes."""
    words = [word for override in ('study.name="million"', *MILLION) for word in ("--set", override)]
    one = ['grid.upsampler=["nearest_conv"]', 'grid.initializer=["default"]', "exclude=[]"]
    words += [word for override in one for word in ("--set", override)]
    shown = subprocess.run(
        [sys.executable, "-m", "checkerscope", "run", str(CONFIG), "--dry-run", "--json", *words],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(shown.stdout)["runs"] == 1_000_000
    return used([sys.executable, "-m", "checkerscope", "run", str(CONFIG), "--dry-run", *words])


def one_folder(parent: Path, entries: int) -> dict[str, Any]:
    """Return what entries (empty files here) cost in one folder: making one, and listing all, as it fills."""
    folder = parent / "entries"
    folder.mkdir()
    taken: dict[str, Any] = {}
    made = 0
    for goal in (entries // 100, entries // 10, entries):
        began = time.perf_counter()
        fresh = goal - made
        while made < goal:
            os.mknod(folder / f"{made * 2654435761 % 2**48:012x}")
            made += 1
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        assert len(os.listdir(folder)) == goal
        listing = time.perf_counter() - began
        taken[str(goal)] = {"make_microseconds": 1e6 * seconds / fresh, "list_seconds": listing}
    shutil.rmtree(folder)
    return taken


@dataclass
class Pool:
    """An executor with all processes that it keeps busy."""

    executor: Any
    processes: list[int]

    def cpu_seconds(self) -> float:
        """Return the processor seconds of this process and of those of the pool, so far."""
        total = time.process_time()
        for pid in self.processes:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return total


@contextlib.contextmanager
def pools(folder: Path) -> Iterator[dict[str, Pool]]:
    """Give two executors, each with two workers that have imported everything."""
    from checkerscope.experiments.study import provenance
    from checkerscope.experiments.workers import dask as dask_executor
    from checkerscope.experiments.workers.local import local

    told = folder / "scheduler.json"
    dask = [sys.executable, "-m"]
    commands = [[*dask, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]]
    commands[0] += ["--no-dashboard", "--scheduler-file", str(told)]
    worker = [
        *dask,
        "distributed.cli.dask_worker",
        "--scheduler-file",
        str(told),
        "--nthreads",
        "1",
        "--host",
        "127.0.0.1",
    ]
    commands += [[*worker, "--host", "127.0.0.1", "--no-dashboard", "--no-nanny", "--local-directory", str(folder)]] * 2
    started = []
    with contextlib.ExitStack() as stack:
        for command in commands:
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            started.append(process.pid)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            while not told.exists():
                time.sleep(0.05)
        time.sleep(0.5)
        terms = dask_executor.Terms.here(folder, provenance.software)
        address = json.loads(told.read_text(encoding="utf-8"))["address"]
        cluster = dask_executor.connect(address, terms, None, say=lambda line: None)
        cluster._client.wait_for_workers(2)
        own = local(2, "cpu")
        for future in [own.submit(time.sleep, 1) for _ in range(2)]:
            future.result()
        yield {"local": Pool(own, [w.process.pid for w in own._workers]), "dask": Pool(cluster, started)}
        cluster.shutdown()
        own.shutdown()


def main() -> None:
    from benchmarks.harness import output

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[10, 100, 1000, 10_000], help="Sizes of the grids.")
    parser.add_argument("--entries", type=int, default=1_000_000, help="Entries of one folder.")
    parser.add_argument("--folder", type=Path, default=ROOT / "results", help="Where; deleted afterwards.")
    output.add_option(parser)
    arguments = parser.parse_args()

    sizes = f"--runs {' '.join(map(str, arguments.runs))} --entries {arguments.entries}"
    results: dict[str, Any] = {"command": f"python benchmarks/overhead.py {sizes}", "config": str(CONFIG.name)}
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="overhead-") as name:
        folder = Path(name)
        results["dry_run_million"] = dry_run()
        results["one_folder"] = one_folder(folder, arguments.entries)
        template = make_template(folder)
        files = [path for path in (folder / "template").rglob(f"*/{template}/*") if path.is_file()]
        results["files_per_run"] = len(files)
        results["bytes_per_run"] = sum(path.stat().st_size for path in files)
        results["grids"] = {}
        with pools(folder) as executors:
            for kind, pool in executors.items():
                fill(folder, 4, f"warm-{kind}", pool, template)
            for runs in arguments.runs:
                found: dict[str, Any] = {
                    kind: fill(folder, runs, f"{kind}-{runs}", pool, template) for kind, pool in executors.items()
                }
                found["commands"] = look(folder, runs, f"local-{runs}")
                results["grids"][str(runs)] = found
                print(runs, json.dumps(found), file=sys.stderr)
                for kind in executors:
                    shutil.rmtree(folder / f"{kind}-{runs}")
    output.finish(results, arguments.output, "overhead")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
