"""A real Dask cluster on loopback: the same bytes as without one, whatever happens to its workers."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from checkerscope.experiments.__main__ import run
from checkerscope.experiments.execution.session import Session
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study import provenance
from checkerscope.experiments.study.spec import RunSpec
from checkerscope.experiments.workers import scheduler as runner
from checkerscope.experiments.workers.local import is_lost_worker

distributed = pytest.importorskip("distributed", reason="the extra [dask] is not installed")

from checkerscope.experiments.workers import dask, tls  # noqa: E402
from checkerscope.experiments.workers.dask import DaskExecutor, Terms  # noqa: E402

PROJECT = Path(__file__).resolve().parents[3]


def start(folder: Path, module: str, *options: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", f"distributed.cli.{module}", *options, "--no-dashboard"]
    log = (folder / f"{module}-{time.monotonic_ns()}.log").open("wb")
    with log:
        return subprocess.Popen(words, cwd=PROJECT, stdout=log, stderr=log)


def start_worker(
    folder: Path, address: str, *more: str, threads: int = 1, host: str = "127.0.0.1"
) -> subprocess.Popen[bytes]:
    options = ("--nthreads", f"{threads}", "--no-nanny", "--memory-limit", "0", "--local-directory", str(folder))
    where = ("--host", host) if host else ()
    return start(folder, "dask_worker", address, *options, *where, *more)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that a test starts, and that end with it."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def start_scheduler(folder: Path, *more: str, host: str = "127.0.0.1") -> tuple[subprocess.Popen[bytes], str]:
    written = folder / f"scheduler-{time.monotonic_ns()}.json"
    where = ("--host", host) if host else ()
    process = start(folder, "dask_scheduler", *where, "--port", "0", "--scheduler-file", str(written), *more)
    eventually(written.exists)
    return process, json.loads(written.read_text())["address"]


def eventually(what: Callable[[], Any], seconds: float = 120.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
    return found


class Cluster:
    """A scheduler, two workers of one thread each, and a client to look at them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scheduler, self.address = start_scheduler(folder)
        self.client = distributed.Client(self.address, set_as_default=False)
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        for _ in range(2):
            self.add()

    def add(self) -> None:
        process = start_worker(self.folder, self.address)
        seen = set(self.workers)
        eventually(lambda: set(self.client.nthreads()) - seen)
        (address,) = set(self.client.nthreads()) - seen
        self.workers[address] = process

    def working(self) -> str | None:
        """Return the address of a worker that has a task, if there is one."""
        return next((address for address, tasks in self.client.processing().items() if tasks), None)

    def close(self) -> None:
        self.client.close()
        for process in (*self.workers.values(), self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    yield cluster
    cluster.close()


def records(results: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (results / "tiny" / "records").iterdir()}


def terms(here: Path, *, folder: str = "", insecure: bool = False, **changed: str) -> Terms:
    found = Terms.here(here, provenance.software, insecure=insecure)
    return Terms(folder or found.folder, {**found.values, **changed}, found.software, insecure)


def nobody(line: str) -> None:
    pytest.fail(f"said: {line}")


def test_a_worker_with_other_code_is_named_and_gets_no_task(cluster: Cluster, tmp_path: Path) -> None:
    client = distributed.Client(cluster.address, set_as_default=False)
    with pytest.raises(ValueError, match=r"worker tcp://127.0.0.1:[0-9]+: expected code other as here, got [0-9a-f]+"):
        DaskExecutor(client, terms(tmp_path, code="other"), say=nobody)
    assert client.status == "closed"


def test_a_killed_worker_loses_its_own_tasks_only_and_the_bytes_are_the_same(
    cluster: Cluster, tiny: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summaries: list[runner.Summary] = []
    execute = runner.execute

    def watched(*arguments: Any, **options: Any) -> runner.Summary:
        summaries.append(execute(*arguments, **options))
        return summaries[-1]

    monkeypatch.setattr(runner, "execute", watched)
    killed: list[str] = []

    def kill() -> None:
        killed.append(eventually(cluster.working))
        cluster.workers[killed[0]].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    options = [str(tiny), "--results", str(tmp_path / "results")]
    assert run(["run", *options, "--dask", cluster.address]) == 0
    killer.join()
    assert set(cluster.client.nthreads()) == set(cluster.workers) - set(killed)
    # what another worker had finished would have answered "present" if it had been sent out again
    assert summaries[0].count() == {"done": 4}
    assert run(["measure", *options, "--dask", cluster.address]) == 0
    assert run(["collect", *options]) == 0
    assert records(tmp_path / "results") == records(finished)
    assert run(["verify", str(tmp_path / "results")]) == 0


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_worker_that_is_told_to_stop_saves_its_state(cluster: Cluster, tiny: Path, tmp_path: Path) -> None:
    from checkerscope.experiments.execution.training import Place, train_run

    session = Session.open(tiny, ("train.steps=100000",), tmp_path / "results", dask=cluster.address)
    session.store.prepare()
    spec: RunSpec = next(session.runs()).spec
    executor, _ = session._executor
    future = executor.submit(train_run, spec.canonical, Place(str(tmp_path / "results"), "tiny"))

    def is_training() -> bool:
        with session.store.lock(spec.id) as free:
            return not free

    eventually(is_training)
    worker = cluster.workers[eventually(cluster.working)]
    began = processor_seconds(worker.pid)
    eventually(lambda: processor_seconds(worker.pid) > began + 1)  # so that it has taken a step, however busy
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 128 + signal.SIGTERM
    assert session.store.load_checkpoint(spec.id)
    executor.shutdown(cancel_futures=True)
    assert future.cancelled()


def test_without_a_worker_it_says_so_and_waits_and_says_why_one_is_refused(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    scheduler, address = start_scheduler(tmp_path)
    started.append(scheduler)
    said: list[str] = []
    executor = dask.connect(address, terms(tmp_path), None, say=said.append)
    try:
        start = f"start one with: dask worker {address} --nthreads 1 {' '.join(tls.LOCAL)}"
        assert said == [f"--dask {address}: no worker yet; {start}"]
        future = executor.submit(pow, 2, 3)
        started += [start_worker(tmp_path, address, threads=threads) for threads in (2, 2, 1)]
        assert [worker.wait(timeout=60) for worker in started[1:3]] == [0, 0]
        assert future.result(timeout=60) == 8
        (line,) = eventually(lambda: said[1:])  # two are refused, for one reason
        assert line.startswith("refused: worker tcp://127.0.0.1:")
        assert line.endswith(": expected one thread, got 2; start it with --nthreads 1")
    finally:
        executor.shutdown(cancel_futures=True)


# who can reach it


def listening(process: subprocess.Popen[bytes]) -> set[str]:
    """Return the addresses, in hexadecimal, on which a process or one of its children listens."""
    family = {str(process.pid)}
    for status in sorted(Path("/proc").glob("[0-9]*/status"), key=lambda path: int(path.parent.name)):
        with contextlib.suppress(OSError):
            parent = re.search(r"^PPid:\s*(\d+)", status.read_text(), re.MULTILINE)
            family |= {status.parent.name} if parent and parent[1] in family else set()
    inodes: set[str] = set()
    for link in (link for pid in family for link in Path(f"/proc/{pid}/fd").glob("*")):
        with contextlib.suppress(OSError):
            inodes |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(link)))
    lines = [
        line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]
    ]
    return {fields[1].partition(":")[0] for fields in lines if fields[3] == "0A" and fields[9] in inodes}


LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


def documented(command: str) -> list[str]:
    """Return the words of the line of docs/scale.md that starts a scheduler or worker on loopback."""
    page = (PROJECT / "docs" / "scale.md").read_text().replace("\\\n", "")
    found = re.search(rf"^    dask {command} .*--host.*$", page, re.MULTILINE)
    assert found
    return found[0].split()[2:]


def test_what_the_documentation_and_the_program_say_listens_on_loopback_only(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    address = "tcp://127.0.0.1:8786"
    said = [line.split()[2:] for line in tls.commands(address, None)]
    assert sorted(said[0]) == sorted(documented("scheduler"))
    assert sorted([*said[1], "--nworkers", "8"]) == sorted(documented("worker"))
    written = tmp_path / "scheduler.json"
    words = ["0" if word == "8786" else word for word in said[0]]
    dask_ = [sys.executable, "-m", "dask"]
    started.append(subprocess.Popen([*dask_, "scheduler", *words, "--scheduler-file", str(written)]))
    eventually(written.exists)
    real = json.loads(written.read_text())["address"]
    words = [real if word == address else word for word in said[1]]
    started.append(subprocess.Popen([*dask_, "worker", *words, "--local-directory", str(tmp_path)]))
    with distributed.Client(real, set_as_default=False) as client:
        eventually(client.nthreads)
        found = [listening(process) for process in started]
        client.shutdown()
    assert [bool(each) for each in found] == [True, True]
    assert set().union(*found) <= LOOPBACK


def test_a_worker_that_listens_to_the_network_is_refused_unless_asked_for(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    scheduler, address = start_scheduler(tmp_path)
    started += [scheduler, start_worker(tmp_path, address, host="")]
    with distributed.Client(address, set_as_default=False) as client:
        eventually(client.nthreads)
    with pytest.raises(
        ValueError, match=r"listens on tcp://0\.0\.0\.0:[0-9]+ without encryption; start it with --host"
    ):
        dask.connect(address, terms(tmp_path), None, say=nobody)
    executor = dask.connect(address, terms(tmp_path, insecure=True), None, say=nobody)
    assert executor.submit(pow, 2, 3).result(timeout=60) == 8
    executor.shutdown(cancel_futures=True)


def test_a_scheduler_that_listens_to_the_network_is_refused_whatever_its_address(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    scheduler, address = start_scheduler(tmp_path, host="")
    started.append(scheduler)
    local = f"tcp://127.0.0.1:{address.rpartition(':')[2]}"
    message = r"listens on tcp://.*:[0-9]+ without encryption; start it so: dask scheduler --port [0-9]+ --host"
    with pytest.raises(ValueError, match=message):
        dask.connect(local, terms(tmp_path), None, say=nobody)


def test_the_command_sets_up_tls(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    folder = tmp_path / "secret place"
    tls.security(folder)
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {"key.pem": 0o600, "cert.pem": 0o600}
    before = (folder / "key.pem").read_bytes()
    words = shlex.split(tls.commands("tls://127.0.0.1:0", folder)[0])
    scheduler, address = start_scheduler(tmp_path, "--protocol", "tls", *words[words.index("--dashboard-address") :])
    started.append(scheduler)
    assert address.startswith("tls://")
    words = shlex.split(tls.commands(address, folder)[1])
    started.append(start_worker(tmp_path, address, *words[words.index("--dashboard-address") :], host=""))
    executor = dask.connect(address, terms(tmp_path), folder, say=lambda line: None)
    assert executor.submit(pow, 2, 3).result(timeout=60) == 8
    executor.shutdown(cancel_futures=True)
    assert (folder / "key.pem").read_bytes() == before, "made once"
    (folder / "key.pem").unlink()
    with pytest.raises(ValueError, match=r"expected key\.pem and cert\.pem, got cert\.pem only"):
        tls.security(folder)


def test_certificates_that_cannot_be_made_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"no certificate could be made \(No such file or directory\); put key.pem and"
    ):
        tls.security(tmp_path / "new")


@pytest.mark.parametrize("has_certificates", [False, True])
def test_the_jobs_of_slurm_listen_on_loopback_or_through_tls(has_certificates: bool, tmp_path: Path) -> None:
    jobqueue = pytest.importorskip("dask_jobqueue", reason="the extra [slurm] is not installed")
    from checkerscope.experiments.workers import slurm

    folder = tmp_path / "tls"
    how = slurm.network(folder if has_certificates else None)
    with jobqueue.SLURMCluster(cores=1, memory="1GB", n_workers=0, **how) as cluster:
        script = cluster.job_script()
        addresses = [listener.listen_address for listener in cluster.scheduler.listeners]
        page = cluster.scheduler.http_server.address
    assert page == "127.0.0.1"
    assert "--no-dashboard" in script
    if has_certificates:
        assert all(address.startswith("tls://") for address in addresses)
        assert f"--tls-key {folder / 'key.pem'}" in script
        assert "--dashboard-address 127.0.0.1:0" in script
        with pytest.raises(ValueError, match="expected a path that needs no quotes"):
            slurm.network(tmp_path / "a b")
    else:
        assert all(address.startswith("tcp://127.0.0.1:") for address in addresses)
        assert "--host 127.0.0.1" in script


# refusals


@pytest.fixture
def refused(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Start the study with options that are refused before anything is trained, and return the one line of error."""

    def line(*options: str) -> str:
        assert run(["run", str(tiny), "--results", str(tmp_path / "results"), *options]) == 2
        assert not Store(tmp_path / "results", "tiny").runs()
        (said,) = capsys.readouterr().err.splitlines()
        return said

    return line


@pytest.mark.parametrize(
    ("changed", "threads", "message"),
    [
        ({}, 1, ""),
        ({}, 2, "expected one thread, got 2; start it with --nthreads 1"),
        ({"folder": "/nowhere"}, 1, "does not see /nowhere (No such file or directory); workers need the same path"),
        ({"inode": "1"}, 1, "expected inode 1 as here, got"),
        ({"torch": "1.0"}, 1, "expected torch 1.0 as here, got"),
        ({"packages": "numpy 1.0"}, 1, "expected packages numpy 1.0 as here, got numpy"),
        ({"code": "x"}, 1, "expected code x as here, got"),
    ],
)
def test_what_a_worker_must_share(tmp_path: Path, changed: dict[str, Any], threads: int, message: str) -> None:
    worker: Any = SimpleNamespace(state=SimpleNamespace(nthreads=threads), listeners=())
    said = terms(tmp_path, **changed).misfit(worker)
    assert said.startswith(message)
    assert bool(said) is bool(message)


def test_a_scheduler_that_dies_ends_the_study_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scheduler, address = start_scheduler(tmp_path)
    executor = dask.connect(address, terms(tmp_path), None, say=lambda line: None)
    future = executor.submit(pow, 2, 2)
    scheduler.kill()
    scheduler.wait()
    with pytest.raises(CancelledError) as caught:
        future.result(timeout=60)
    assert is_lost_worker(caught.value)
    call = runner.Call("a", pow, (2, 2))  # type: ignore[arg-type]
    with pytest.raises(ConnectionError, match="the scheduler is gone; finished runs are kept, start again to go on"):
        runner.execute([call], executor, window=2, done=lambda key, result: None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dask", "tcp://10.1.2.3:8786"], "expected tls://HOST:PORT, or a loopback address"),
        (["--dask", "somewhere"], "expected tls://HOST:PORT, or a loopback address"),
        (["--dask", ""], "expected tls://HOST:PORT, or a loopback address"),
        (["--dask", "tcp://127.0.0.1:1"], "--dask tcp://127.0.0.1:1: no scheduler answers"),
        (["--dask", "tcp://127.0.0.1:x"], "expected tls://HOST:PORT, or a loopback address"),
        (["--dask", "ucx://127.0.0.1:8786"], "expected tls://HOST:PORT, or a loopback address"),
        (["--dask", "inproc://127.0.0.1:8786"], "expected tls://HOST:PORT, or a loopback address"),
        (["--dask", "http://127.0.0.1:8786"], "expected tls://HOST:PORT, or a loopback address"),
        (["--dask", "foo://127.0.0.1:8786"], "expected tls://HOST:PORT, or a loopback address"),
        (["--dask", "://127.0.0.1:8786"], "expected tls://HOST:PORT, or a loopback address"),
        (["--dask", "foo://h:1", "--dask-insecure"], "expected tls://HOST:PORT, or a loopback address"),
        (["--dask", "tcp://127.0.0.1:1", "--dask-tls", "x"], "--dask-tls: expected --dask tls://HOST:PORT, got tcp://"),
        (["--dask-insecure"], "expected --dask ADDRESS or --slurm with them, got none"),
        (["--dask-tls", "x"], "expected --dask ADDRESS or --slurm with them, got none"),
        (["--dask", "tls://node1:1"], "expected certificates in Dask's configuration (distributed.comm.tls), got none"),
        (["--dask", "tcp://127.0.0.1:1", "--slurm"], "--dask and --slurm: expected one of them, got both"),
        (["--dask", "tcp://127.0.0.1:1", "--workers", "2"], "--dask and --workers: expected one of them, got both"),
        (["--slurm"], "--slurm: expected --workers N with the number of jobs"),
    ],
)
def test_bad_places_are_refused_in_one_line(
    options: list[str], message: str, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "TIMEOUT", 0.5)
    assert message in refused(*options)


@pytest.mark.parametrize("options", [["--dask", "tcp://127.0.0.1:1"], ["--slurm", "--workers", "2"]])
def test_a_missing_extra_is_named(
    options: list[str], refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    extras = ("distributed", "dask_jobqueue")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in extras else there(name))
    line = refused(*options)
    assert line.startswith(f"error: {options[0]}: expected the package d")
    extra = options[0].removeprefix("--")
    assert line.endswith(f"install the extra [{extra}]: pip install -c constraints.txt -e '.[{extra}]'")


def test_slurm_without_slurm_is_refused(
    refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dask_jobqueue", reason="the extra [dask] is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "--slurm: expected Slurm's sbatch on the path, got none" in refused("--slurm", "--workers", "2")


@pytest.mark.parametrize(
    ("sbatch", "message"),
    [
        (
            "echo sbatch: error: Unable to contact slurm controller >&2; exit 1",
            "got: sbatch: error: Unable to contact slu",
        ),
        ("exit 3", "got: exit code 3; see whether"),
        ("exec sleep 60", "got: no answer within 0.5 s; see whether"),
    ],
)
def test_a_slurm_that_takes_no_job_is_named(
    sbatch: str,
    message: str,
    refused: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("dask_jobqueue", reason="the extra [dask] is not installed")
    from checkerscope.experiments.workers import slurm

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sbatch").write_text(f"#!/bin/sh\n{sbatch}\n")
    (tmp_path / "bin" / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    if "sleep" in sbatch:
        monkeypatch.setattr(slurm, "PATIENCE", 0.5)
    line = refused("--slurm", "--workers", "2")
    assert line.startswith("error: --slurm: expected sbatch to take a job, ")
    assert message in line
