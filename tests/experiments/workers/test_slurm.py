"""A real Slurm of one node, started in a folder of its own where its programs are installed (slurm-wlm and munge)."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from checkerscope.experiments.__main__ import run

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "sinfo")
PATH = f"{os.environ['PATH']}:/usr/sbin"
MISSING = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"Slurm is not installed: no {', '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Slurm's daemons are started as root"),
]
PROJECT = Path(__file__).resolve().parents[3]
CONFIG = """ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def eventually(what: Callable[[], Any], seconds: float = 120.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return found


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in taken]


def output(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    return done.stdout if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def slurm() -> Iterator[Path]:
    """Configuration of a running Slurm; munge's socket has a short path, as sockets must."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o600)
    path = folder / "slurm.conf"
    path.write_text(CONFIG.format(host=socket.gethostname().split(".")[0], ports=free_ports(2), folder=folder))
    munge = [f"--{name}={folder}/{name}" for name in ("key-file", "pid-file", "log-file", "seed-file")]
    munge[0] = f"--key-file={folder}/key"
    commands = (
        ["munged", "--foreground", "--force", f"--socket={folder}/munge", *munge],
        ["slurmctld", "-D", "-f", str(path)],
        ["slurmd", "-D", "-f", str(path)],
    )
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("PATH", PATH)
        patch.setenv("SLURM_CONF", str(path))
        patch.setenv("PYTHONPATH", str(PROJECT))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for command in commands:
            log = stack.enter_context((folder / f"{command[0]}.out").open("wb"))
            process = subprocess.Popen(command, stdout=log, stderr=log)
            stack.callback(end, process)
            time.sleep(0.5)
        eventually(lambda: "idle" in output("sinfo", "--noheader", "--format=%T"))
        yield path


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def records(results: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (results / "tiny" / "records").iterdir()}


def jobs(state: str) -> list[str]:
    return output("squeue", "--noheader", "--array", f"--states={state}", "--format=%A").split()


@pytest.mark.usefixtures("slurm")
def test_jobs_of_slurm_give_the_bytes_of_one_process_though_one_is_cancelled(
    tiny: Path, finished: Path, tmp_path: Path
) -> None:
    pytest.importorskip("dask_jobqueue", reason="the extra [dask] is not installed")
    cancelled: list[str] = []

    def cancel() -> None:
        eventually(lambda: list((tmp_path / "results" / "tiny" / "runs").glob("*/run.json")))
        cancelled.append(eventually(lambda: jobs("RUNNING"))[0])
        output("scancel", cancelled[0])

    canceller = threading.Thread(target=cancel)
    canceller.start()
    options = [str(tiny), "--results", str(tmp_path / "results")]
    slurm = ("--slurm", "--workers", "2")
    assert run(["run", *options, *slurm]) == 0
    canceller.join()
    assert cancelled
    assert run(["measure", *options, *slurm]) == 0
    assert run(["collect", *options]) == 0
    assert records(tmp_path / "results") == records(finished)
    eventually(lambda: not jobs("PENDING,RUNNING,COMPLETING"))  # none is left behind


@pytest.mark.usefixtures("slurm")
def test_a_job_array_gives_the_bytes_of_one_process(
    tiny: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = [str(tiny), "--results", str(tmp_path / "results")]
    assert run(["slurm-script", *options, "--jobs", "2", "--memory", "1G"]) == 0
    (tmp_path / "job.sh").write_text(capsys.readouterr().out)
    done = subprocess.run(["sbatch", "--wait", "job.sh"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = "".join(path.read_text() for path in sorted(tmp_path.glob("slurm-*.out")))
    assert [f"shard {i}/2 of tiny has ended" in said for i in (1, 2)] == [True, True]
    assert run(["collect", *options]) == 0
    assert records(tmp_path / "results") == records(finished)
