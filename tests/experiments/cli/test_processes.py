"""Several processes on one study, and commands that are told to stop: each run is trained once, and none is lost."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest

from checkerscope.experiments.execution import training
from checkerscope.experiments.execution.training import Place
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.workers import scheduler
from checkerscope.experiments.workers.local import InlineExecutor, LocalExecutor
from checkerscope.experiments.workers.scheduler import Call
from tests.children import ending, in_child, start_child

PROCESSES = 4


def together(work: Callable[[], Any]) -> list[int]:
    """Run `work` in several processes that begin at the same moment; return how they ended."""
    read, write = os.pipe()

    def begin() -> None:
        os.close(write)
        os.read(read, 1)  # until the parent closes its end
        work()

    pids = [start_child(begin, seconds=300) for _ in range(PROCESSES)]
    os.close(write)
    os.close(read)
    return [ending(pid) for pid in pids]


def audited(path: Path, train: Callable[..., Any]) -> Callable[..., Any]:
    """Return a training that also adds a line to a file, which several processes may do at once."""

    def called(spec: Any, *arguments: Any) -> Any:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{spec.id}\n".encode())
        os.close(descriptor)
        return train(spec, *arguments)

    return called


def runs(study: Path) -> dict[str, bytes]:
    found = (path for path in (study / "runs").rglob("*") if path.is_file() and path.name != "environment.json")
    return {path.relative_to(study).as_posix(): path.read_bytes() for path in found}


def test_four_commands_on_one_study_train_each_run_once(
    tiny: Path, tmp_path: Path, finished: Path, checkerscope: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_train", audited(tmp_path / "audit", training._train))

    def work() -> None:
        assert checkerscope("run", tiny) == 0

    assert together(work) == [0] * PROCESSES
    trained = Counter((tmp_path / "audit").read_text().split())
    assert sorted(trained) == Store(finished, "tiny").runs()
    assert set(trained.values()) == {1}
    assert runs(tmp_path / "results" / "tiny") == runs(finished / "tiny")


@pytest.mark.parametrize("trial", range(10))
def test_four_processes_and_twelve_runs(trial: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without the training, which is left out so that they meet at the locks more often."""

    class Spec:
        def __init__(self, canonical: str) -> None:
            self.canonical, self.base = canonical, None
            self.id = hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def train(spec: Any, place: Place, store: Store) -> dict[str, Any]:
        store.commit(spec.id, {"spec.json": spec.canonical.encode()}, {"status": "done", "steps": 0}, {})
        return training.report(spec, "done")

    monkeypatch.setattr(training.RunSpec, "model_validate_json", Spec)
    monkeypatch.setattr(training, "_train", audited(tmp_path / "audit", train))
    monkeypatch.setattr(scheduler, "BUSY_PAUSE", 0.01)
    place = Place(str(tmp_path), "study")
    place.store.prepare()
    specs = [Spec(f"{trial} {number}") for number in range(12)]

    def work() -> None:
        calls = [Call(spec.id, training.train_run, (spec.canonical, place)) for spec in specs]
        summary = scheduler.execute(calls, InlineExecutor(), window=1, done=lambda key, result: None)
        assert {result["status"] for result in summary.results.values()} <= {"done", "present"}

    assert together(work) == [0] * PROCESSES
    assert sorted((tmp_path / "audit").read_text().split()) == sorted(spec.id for spec in specs)
    assert all(place.store.is_finished(spec.id) for spec in specs)
    assert not list((place.store.root / "work").iterdir())


# commands that are told to stop


def command(config: Path, results: Path, log: Path, *options: str) -> int:
    """Start `checkerscope run` with one worker process in a child, as its console script does."""
    import checkerscope.experiments.__main__ as entry

    def start() -> None:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.modules["__main__"] = entry  # what the worker process imports again
        sys.argv = ["checkerscope", "run", str(config), "--results", str(results), "--workers", "1", *options]
        try:
            entry.main()
        except SystemExit as exit_:
            os._exit(int(exit_.code or 0))

    return start_child(start, seconds=300)


def held(store: Store) -> str:
    """Return a run that some process works on, or nothing."""
    for run in ("0123456789ab", *WAITED_FOR):
        with store.lock(run) as free:
            if not free:
                return run
    return ""


WAITED_FOR: list[str] = []


def wait_for(condition: Callable[[], Any], seconds: float = 250) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


@pytest.mark.parametrize(
    ("number", "to_all", "code", "word"),
    [
        (signal.SIGINT, True, 130, "interrupted"),
        (signal.SIGTERM, False, 143, "stopped"),
        (signal.SIGHUP, True, 129, "stopped"),
    ],
)
def test_a_command_that_is_told_to_stop_saves_its_state_and_ends_its_workers(
    number: signal.Signals, to_all: bool, code: int, word: str, tiny: Path, tmp_path: Path
) -> None:
    from checkerscope.experiments.study import config
    from checkerscope.experiments.study.grid import Grid

    long = ("--set", "train.steps=100000", "--set", "grid.seed=[0]", "--set", "train.snapshots=[]")
    grid = Grid(config.read(tiny, ("train.steps=100000", "grid.seed=[0]", "train.snapshots=[]")), "tiny")
    WAITED_FOR[:] = [run.spec.id for run in grid]
    results, log = tmp_path / "results", tmp_path / "log"
    pid = command(tiny, results, log, *long)
    store = Store(results, "tiny")
    wait_for(lambda: (store.root / "lock").exists())
    run = wait_for(lambda: held(store))
    saved = 0
    if number == signal.SIGTERM:  # of the others it is enough to know that the worker answers them as it does this one
        (first,) = wait_for(lambda: store.checkpoints(run))
        saved = int(first.name[:10])
        worker = worker_of(pid)
        then = processor_seconds(worker)
        wait_for(lambda: processor_seconds(worker) > then + 0.5)  # steps beyond it, on however busy a machine
    began = time.monotonic()
    (os.killpg if to_all else os.kill)(pid, number)
    assert ending(pid) == code, log.read_text()
    assert time.monotonic() - began < 60
    assert f"error: {word}; finished runs are kept, start again to go on" in log.read_text()
    assert "Traceback" not in log.read_text()
    with store.lock(run) as free:
        assert free, "the worker has outlived the command"
    if saved:
        (last,) = store.checkpoints(run)
        assert int(last.name[:10]) > saved, "the steps since the last checkpoint are lost"
        assert store.load_checkpoint(run) is not None


def test_a_second_signal_ends_a_command_at_once_though_its_worker_hangs(tiny: Path, tmp_path: Path) -> None:
    from checkerscope.experiments.study import config
    from checkerscope.experiments.study.grid import Grid

    grid = Grid(config.read(tiny, ("train.steps=100000", "grid.seed=[0]")), "tiny")
    WAITED_FOR[:] = [run.spec.id for run in grid]
    results, log = tmp_path / "results", tmp_path / "log"
    pid = command(tiny, results, log, "--set", "train.steps=100000", "--set", "grid.seed=[0]")
    store = Store(results, "tiny")
    wait_for(lambda: (store.root / "lock").exists())
    wait_for(lambda: held(store))
    worker = worker_of(pid)
    os.kill(worker, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGINT)
        time.sleep(0.5)
        began = time.monotonic()
        os.kill(pid, signal.SIGINT)
        assert ending(pid) == 130
        assert time.monotonic() - began < 10  # the worker would have been given twenty seconds
    finally:
        os.killpg(pid, signal.SIGKILL)


def worker_of(session: int) -> int:
    """Return the worker process of a command that leads a session."""
    return next(int(path.name) for path in Path("/proc").glob("[0-9]*") if is_worker(path, session))


def is_worker(process: Path, session: int) -> bool:
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        return int(fields[3]) == session and b"spawn_main" in (process / "cmdline").read_bytes()
    except OSError:
        return False


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


TOLD = """\
import signal
import time
try:
    signal.raise_signal({number:d})
    time.sleep(0.01)
except BaseException:
    {answer}
print("it went on")
"""
MODULE = (sys.executable, "-m", "checkerscope")
SCRIPT = (sys.executable, "-c", "from checkerscope.experiments.__main__ import main; main()")
#: Signals, and all that is seen of a program that one of them ends: exit code, standard output, standard error.
TOLD_ENDINGS = [
    (signal.SIGINT, (130, "", "error: interrupted; finished runs are kept, start again to go on\n")),
    (signal.SIGTERM, (143, "", "error: stopped; finished runs are kept, start again to go on\n")),
    (signal.SIGHUP, (129, "", "error: stopped; finished runs are kept, start again to go on\n")),
]


def seen(arguments: Sequence[str], folder: Path) -> tuple[int, str, str]:
    """Run a program that looks for modules in `folder` first."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("number", "expected"), TOLD_ENDINGS)
@pytest.mark.parametrize("answer", ["raise", "pass", "raise RecursionError from None"])
@pytest.mark.parametrize(("module", "how"), [("click", MODULE), ("click", SCRIPT), ("torch", MODULE)])
def test_a_signal_during_an_import_ends_the_program_whatever_is_made_of_exceptions_there(
    module: str, how: tuple[str, ...], answer: str, number: int, expected: tuple[int, str, str], tmp_path: Path
) -> None:
    """Half of numpy is imported inside `try`; the planted module stands for it, and for the first import of all."""
    (tmp_path / f"{module}.py").write_text(TOLD.format(number=number, answer=answer))
    assert seen([*how, "audit", "torch.nn:Identity", "--input", "1,3,32,32"], tmp_path) == expected


def planted(code: str, folder: Path) -> list[str]:
    """Return how to start the program with `code` for its only command."""
    (folder / "somebody.py").write_text(
        "import click\nimport checkerscope.experiments.cli.root\n"
        f"checkerscope.experiments.cli.root.cli = click.Command('told', callback=lambda: exec({code!r}))\n"
        "from checkerscope.experiments.__main__ import main\n"
    )
    return [sys.executable, "-c", "import somebody; somebody.main()"]


@pytest.mark.parametrize(("number", "expected"), TOLD_ENDINGS)
@pytest.mark.parametrize("answer", ["pass", "raise ValueError('it was disturbed') from None", "raise SystemExit(1)"])
def test_a_signal_counts_whatever_somebodys_code_makes_of_it(
    answer: str, number: int, expected: tuple[int, str, str], tmp_path: Path
) -> None:
    code = TOLD.replace("print", "str").format(number=number, answer=answer)
    assert seen(planted(code, tmp_path), tmp_path) == expected


def test_a_second_signal_ends_a_program_at_once_though_the_first_was_swallowed(tmp_path: Path) -> None:
    code = TOLD.format(number=signal.SIGINT, answer="signal.raise_signal(signal.SIGTERM)")
    assert seen(planted(code, tmp_path), tmp_path) == (143, "", "")


@contextlib.contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """Leave this process `count` files that it may still open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(count):
            os.close(taken.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


@pytest.mark.parametrize("left", [0, 2, 6])  # its pipe has two ends, multiprocessing's own have four
def test_a_worker_that_cannot_be_started_fails_its_task_in_one_line(left: int) -> None:
    resource_tracker.ensure_running()
    before = len(os.listdir("/proc/self/fd"))
    executor = LocalExecutor([{}])
    call = Call("one", os.getpid, ())
    with descriptors_left(left):
        summary = scheduler.execute([call], executor, window=1, done=lambda key, result: None)
    executor.shutdown()
    assert summary.results["one"]["status"] == "failed"
    assert summary.results["one"]["why"].startswith("OSError: [Errno 24] Too many open files")
    gc.collect()  # what multiprocessing opened is closed with its objects
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("shell", "code"),
    [(">/dev/full", 1), ("2>/dev/full", 3), (">&- 2>&-", 3)],
)
def test_a_study_whose_output_nobody_takes_is_trained_all_the_same(
    shell: str, code: int, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run fails, so that there is something to say on both streams."""
    import checkerscope.experiments.__main__ as entry

    train = training.fit.loop.train

    def fragile(*arguments: Any, seed: int, **options: Any) -> Any:
        if seed == 1:
            raise RuntimeError("tired")
        return train(*arguments, seed=seed, **options)

    monkeypatch.setattr(training.fit.loop, "train", fragile)

    def start() -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(full if shell.startswith(">/dev/full") else null, 1)
        os.dup2(full if shell.startswith("2>/dev/full") else null, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        if "&-" in shell:
            os.close(1)
            os.close(2)
            sys.stdout = sys.stderr = None
        sys.argv = ["checkerscope", "run", str(tiny), "--results", str(tmp_path / "results"), "--workers", "0"]
        try:
            entry.main()
        except SystemExit as exit_:
            os._exit(int(exit_.code or 0))

    assert in_child(start, seconds=300) == code
    store = Store(tmp_path / "results", "tiny")
    assert Counter(store.record(run)["status"] for run in store.runs()) == {"done": 2, "failed": 2}
