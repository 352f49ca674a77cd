"""The Slurm job array that starts every shard of a study."""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

#: How Slurm writes a size and a time: 2G; minutes, 30:00, 04:00:00, 2-12, 2-12:00:00.
MEMORY = re.compile(r"[0-9]{1,12}[KMGT]?", re.IGNORECASE)
LIMIT = re.compile(r"([0-9]{1,6}-)?[0-9]{1,6}(:[0-9]{1,2}){0,2}|UNLIMITED", re.IGNORECASE)
#: Slurm's own default for MaxArraySize is 1001, and array indices must be smaller.
MAX_JOBS = 1000


@dataclass(frozen=True)
class Job:
    """What every task of a job array is given."""

    jobs: int
    threads: int = 1
    memory: str = "2G"
    limit: str = "04:00:00"


def script(study: str, runs: int, options: list[str], job: Job) -> str:
    """Return the text of a job array for `sbatch`.

    Args:
        study: Its name.
        runs: Size of its grid.
        options: The config and options of `checkerscope study`, as the jobs are to be given them.
        job: Number and size of the jobs.

    Raises:
        ValueError: If there are more jobs than runs, or than Slurm takes, or it would not understand their size.
    """
    if not MEMORY.fullmatch(job.memory):
        raise ValueError(f"--memory: expected a size as Slurm writes it, such as 500M or 2G, got {job.memory[:40]!r}")
    if not LIMIT.fullmatch(job.limit):
        raise ValueError(f"--time: expected a time as Slurm writes it, such as 04:00:00, got {job.limit[:40]!r}")
    if not 1 <= job.jobs <= min(runs, MAX_JOBS):
        raise ValueError(f"--jobs: expected 1 to {min(runs, MAX_JOBS)} for {runs} runs, got {job.jobs}")
    command = " ".join(map(_word, [sys.executable, "-m", "checkerscope", "study", *options]))
    return f"""#!/bin/bash
# {runs} runs of {study} in {job.jobs} jobs, which share the results folder through the file system.
# Submit:     sbatch THIS_FILE           (again, if jobs were lost: finished runs are skipped)
# Afterwards: {command}
#SBATCH --job-name=checkerscope-{study}
#SBATCH --array=1-{job.jobs}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={job.threads}
#SBATCH --mem={job.memory}
#SBATCH --time={job.limit}
#SBATCH --requeue
#SBATCH --open-mode=append
cd {_word(str(Path.cwd()))} || exit 1
export OMP_NUM_THREADS={job.threads} MKL_NUM_THREADS={job.threads}
# exec: Slurm's signal reaches the study, which saves its state
exec {command} --workers 1 --threads {job.threads} --shard "$SLURM_ARRAY_TASK_ID/{job.jobs}"
"""


def _word(text: str) -> str:
    r"""Return a word for bash in one line of ASCII, which every terminal shows and every comment holds.

    >>> print(_word("it is"), _word("one\ntwo"))
    'it is' $'one\x0atwo'
    """
    if text.isascii() and text.isprintable():
        return shlex.quote(text)
    plain = set(range(32, 127)) - set(b"'\\")
    return "$'" + "".join(chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in os.fsencode(text)) + "'"
