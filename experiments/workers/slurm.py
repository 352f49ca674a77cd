"""Workers that are Slurm jobs, through dask-jobqueue: one job is one process with one task at a time.

Queue, account, wall time, memory and everything else about a job are dask-jobqueue's own settings (`jobqueue.slurm` of
Dask's configuration, or variables such as DASK_JOBQUEUE__SLURM__QUEUE). A job that is cancelled or dies is replaced.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
from dask_jobqueue import SLURMCluster
from distributed import Client
from distributed.security import Security

from checkerscope.experiments.workers import tls
from checkerscope.experiments.workers.dask import TIMEOUT, DaskExecutor, Say, Terms, quiet

MEMORY = "2 GiB"
#: Seconds that Slurm has to answer; its programs themselves try for a while where they reach nobody.
PATIENCE = 60.0


def start(jobs: int, threads: int, terms: Terms, certificates: Path | None, *, say: Say) -> DaskExecutor:
    """Return an executor of Slurm jobs, which are submitted now and cancelled when it is shut down.

    The scheduler runs in this process. It and the jobs listen to the network only where there are certificates, and
    then through TLS; else on loopback, which jobs of this node alone can reach.

    Args:
        jobs: How many.
        threads: Cores of each job.
        terms: What every job must share with this process: the study's results, on a file system of all nodes.
        certificates: Folder of key and certificate; without one those of Dask's configuration count.
        say: Told why a job is refused.

    Raises:
        ValueError: If Slurm's commands are not there, or it would not take such a job.
    """
    folder = Path(terms.folder)
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
        **network(certificates),
    )
    try:
        _try_out(cluster.job_script())
    except ValueError:
        cluster.close(timeout=TIMEOUT)
        raise
    cluster.adapt(minimum=jobs, maximum=jobs)
    return DaskExecutor(Client(cluster, timeout=TIMEOUT, set_as_default=False), terms, cluster, say=say)


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


def network(certificates: Path | None = None) -> dict[str, Any]:
    """Return the cluster's settings for where scheduler and jobs listen: through TLS, else on loopback.

    Raises:
        ValueError: If dask-jobqueue would write the folder's name into the job so that bash splits it.
    """
    if certificates is None and not dask.config.get("distributed.comm.tls.ca-file", None):
        local = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        return {"scheduler_options": local, "worker_extra_args": list(tls.LOCAL)}
    if certificates is not None and shlex.quote(str(certificates)) != str(certificates):
        raise ValueError(f"--dask-tls {certificates}: expected a path that needs no quotes, which Slurm's jobs get")
    return {
        "protocol": "tls://",
        "security": Security() if certificates is None else tls.security(certificates),
        "scheduler_options": {"dashboard_address": "127.0.0.1:0"},
        "worker_extra_args": list(tls.LOCAL_PAGES),
    }
