"""Workers that are Slurm jobs, through dask-jobqueue: one job is one process with one task at a time.

Queue, account, wall time, memory and everything else about a job are dask-jobqueue's own settings (`jobqueue.slurm` of
Dask's configuration, or variables such as DASK_JOBQUEUE__SLURM__QUEUE). A job that is cancelled or dies is replaced.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
from dask_jobqueue import SLURMCluster
from distributed import Client
from distributed.security import Security

from checkerscope.experiments.workers.dask import TIMEOUT, DaskExecutor, Terms, quiet

MEMORY = "2 GiB"
#: Seconds that Slurm has to answer; its programs themselves try for a while where they reach nobody.
PATIENCE = 60.0


def start(jobs: int, threads: int, folder: Path, say: Callable[[str], None]) -> DaskExecutor:
    """Return an executor of Slurm jobs, which are submitted now and cancelled when it is shut down.

    The scheduler runs in this process. It listens to the network only where Dask's configuration names certificates,
    and then through TLS; else on loopback, which jobs of this node alone can reach.

    Args:
        jobs: How many.
        threads: Cores of each job.
        folder: The study's results, on a file system that the nodes share.
        say: Told of jobs that are refused.

    Raises:
        ValueError: If Slurm's commands are not there, or it would not take such a job.
    """
    if shutil.which("sbatch") is None:
        raise ValueError(
            "--slurm: expected Slurm's sbatch on the path, got none; start on a login node, or use: "
            "checkerscope slurm-script CONFIG"
        )
    quiet()
    cluster = SLURMCluster(
        job_name=f"checkerscope-{folder.name}",
        cores=1,  # one thread per worker; its task uses as many cores as it is given
        processes=1,
        job_cpu=threads,
        memory=dask.config.get("jobqueue.slurm.memory") or MEMORY,
        log_directory=dask.config.get("jobqueue.slurm.log-directory") or str(folder / "slurm"),
        python=sys.executable,
        **_network(),
    )
    try:
        _try_out(cluster.job_script())
    except ValueError:
        cluster.close(timeout=TIMEOUT)
        raise
    cluster.adapt(minimum=jobs, maximum=jobs)
    client = Client(cluster, timeout=TIMEOUT, set_as_default=False)
    return DaskExecutor(client, Terms.here(folder), say, cluster=cluster)


def _try_out(script: str) -> None:
    """Ask Slurm what it would say to a job: one that it refuses would be submitted again and again, for ever."""
    try:
        done = subprocess.run(
            ["sbatch", "--test-only"], input=script, capture_output=True, text=True, errors="replace", timeout=PATIENCE
        )
        code, said = done.returncode, done.stderr
    except OSError as error:
        code, said = 1, str(error.strerror)
    except subprocess.TimeoutExpired:
        code, said = 1, f"no answer within {PATIENCE:g} s"
    if code:
        why = (said.strip().splitlines() or [f"exit code {code}"])[-1]
        raise ValueError(f"--slurm: expected sbatch to take a job, got: {why}; see whether sinfo shows a partition")


def listens_to_the_network() -> bool:
    """Return whether Dask's configuration names certificates, so that other nodes can be let in."""
    return bool(dask.config.get("distributed.comm.tls.ca-file", None))


def _network() -> dict[str, Any]:
    if listens_to_the_network():
        return {"protocol": "tls://", "security": Security()}
    return {"scheduler_options": {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}}
