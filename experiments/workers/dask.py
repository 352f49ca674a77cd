"""A Dask cluster as an executor: of any number of machines that share the results folder through the file system.

The scheduler gives a lost worker's tasks, and no others, to other workers; what it gives up is submitted again by the
runner. A Dask scheduler has no authentication, and who reaches it can run anything on every worker and here: it is
talked to on loopback or through TLS, never otherwise. Imports the extra [dask], so it is imported by need.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from distributed import Client, Worker, WorkerPlugin
from distributed.security import Security

from checkerscope.experiments.errors import STOPPING
from checkerscope.experiments.study import provenance, source_code
from checkerscope.experiments.workers.signals import start_worker

#: Seconds that a scheduler has to answer.
TIMEOUT = 10.0
#: Workers that are reckoned with at least: a cluster may grow while it works.
WORKERS = 32
GONE = "the scheduler is gone; finished runs are kept, start again to go on"


@dataclass(frozen=True)
class Terms:
    """What a worker must have in common with this process for a run to come out the same there.

    Attributes:
        folder: The study's results, under the same path and on the same file system everywhere.
        inode: Of that folder.
        torch: Version of torch.
        packages: Versions of the other packages that compute or decode.
        code: Digest of all source that a task may run.
    """

    folder: str
    inode: int
    torch: str
    packages: str
    code: str

    @classmethod
    def here(cls, folder: Path) -> Terms:
        """Return what this process has."""
        found = provenance.versions()
        packages = ", ".join(f"{name} {found[name]}" for name in provenance.COMPUTING)
        return cls(str(folder), folder.stat().st_ino, torch.__version__, packages, source_code.worker_code())

    def misfit(self, dask_worker: Worker) -> str:
        """Return what is wrong with the worker that this runs in, or nothing."""
        try:
            own = Terms.here(Path(self.folder))
        except OSError as error:
            return f"does not see {self.folder} ({error.strerror}); workers need the same path on a shared file system"
        if dask_worker.state.nthreads != 1:  # a lock belongs to its process, not to a thread
            return f"expected one thread, got {dask_worker.state.nthreads}; start it with --nthreads 1"
        for name in ("inode", "torch", "packages", "code"):
            if getattr(own, name) != getattr(self, name):
                there = f"expected {name} {getattr(self, name)} as here, got {getattr(own, name)}"
                return f"{there}; share the folder, the checkout and the installed versions"
        return ""


class Prepare(WorkerPlugin):
    """Makes a worker's process finish its step and save its state when told to stop, as a local one does.

    A worker that joins later and does not fit is closed before it gets a task, and says why under `topic`.
    """

    def __init__(self, terms: Terms, topic: str) -> None:
        self.terms, self.topic = terms, topic
        self.before: dict[int, Any] = {}

    def setup(self, worker: Worker) -> None:
        """Run in the worker's process, in its main thread."""
        why = self.terms.misfit(worker)
        if why:
            worker.log_event(self.topic, [worker.address, why])
            worker.loop.add_callback(worker.close, reason=why)
            raise ValueError(why)
        self.before = {number: signal.getsignal(number) for number in STOPPING}
        start_worker()

    def teardown(self, worker: Worker) -> None:
        """Put back what was there."""
        for number, handler in self.before.items():
            signal.signal(number, handler)


class DaskExecutor(Executor):
    """A client of a Dask cluster.

    Args:
        client: Connected; closed with the executor.
        terms: What every worker must share with this process.
        say: Told of every worker that is refused.
        cluster: Closed with the executor, if it was made for it.

    Raises:
        ValueError: If a worker does not fit.
    """

    def __init__(
        self, client: Client, terms: Terms, say: Callable[[str], None] = lambda line: None, *, cluster: Any = None
    ) -> None:
        self._client, self._cluster, self._say = client, cluster, say
        # pure=False: a task that answered "busy" and is tried again must not get its old answer
        self._tasks = client.get_executor(pure=False)
        self._plugin = ""
        self._told: set[str] = set()
        for address, why in client.run(terms.misfit, on_error="return").items():
            if why:
                self.shutdown(cancel_futures=True)
                raise ValueError(f"worker {address}: {_unfit(why)}")
        self._plugin = f"checkerscope-{client.id}"
        client.subscribe_topic(self._plugin, self._tell)
        client.register_plugin(Prepare(terms, self._plugin), name=self._plugin)

    def _tell(self, event: tuple[float, tuple[str, str]]) -> None:
        """Say why a worker that joined later is refused; each reason once, for Slurm may start such jobs for ever."""
        address, why = event[1]
        if why not in self._told:
            self._told.add(why)
            self._say(f"refused: worker {address}: {why}")

    @property
    def slots(self) -> int:
        """How many tasks the cluster may work on at once."""
        return max(WORKERS, len(self._client.nthreads()))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule a call on one of the workers.

        Raises:
            ConnectionError: If the scheduler is gone.
        """
        if self._client.status != "running":
            raise ConnectionResetError(errno.ECONNRESET, GONE, "dask")
        return self._tasks.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster; with `cancel_futures`, tasks that have begun end by themselves and no other begins."""
        if self._client.status == "running":
            self._tasks.shutdown(wait=wait and not cancel_futures)
            if self._plugin:
                self._client.unregister_worker_plugin(self._plugin)
        self._client.close(timeout=TIMEOUT)
        if self._cluster is not None:
            self._cluster.close(timeout=TIMEOUT)


def _unfit(why: object) -> str:
    if isinstance(why, ImportError):
        return f"{why}; start it in this project's environment"
    return str(why)


def connect(address: str, folder: Path, say: Callable[[str], None] = lambda line: None) -> DaskExecutor:
    """Return an executor of a running Dask cluster.

    Args:
        address: Of its scheduler, on loopback or `tls://`; certificates are those of Dask's configuration.
        folder: The study's results.
        say: Told of workers that are refused, and that there is none yet.

    Raises:
        ValueError: If the address is not safe, nobody answers there, or a worker does not fit.
    """
    if not is_safe(address):
        raise ValueError(
            f"--dask {address}: expected tls://HOST:PORT, or a loopback address such as tcp://127.0.0.1:8786;"
            " a Dask scheduler has no authentication; see docs/scale.md"
        )
    if address.startswith("tls://") and Security().get_connection_args("client")["ssl_context"] is None:
        raise ValueError(
            f"--dask {address}: expected certificates in Dask's configuration (distributed.comm.tls), got none;"
            " see docs/scale.md"
        )
    quiet()
    try:
        client = Client(address, timeout=TIMEOUT, set_as_default=False)
    except OSError as error:
        why = f"{error}".splitlines()[0]
        raise ValueError(f"--dask {address}: no scheduler answers ({why}); start one: dask scheduler") from None
    executor = DaskExecutor(client, Terms.here(folder), say)
    if not client.nthreads():  # not an error: a cluster may start with none and grow
        start = f"start one with: dask worker {address} --nthreads 1"
        say(f"--dask {address}: no worker yet; {start}")
    return executor


def is_safe(address: str) -> bool:
    """Return whether a scheduler's address is encrypted or stays on this machine.

    >>> [is_safe(a) for a in ("tls://node1:8786", "tcp://127.0.0.1:8786", "localhost:8786", "tcp://node1:8786")]
    [True, True, True, False]
    """
    protocol, _, rest = address.rpartition("://")
    host, _, port = rest.rpartition(":")
    if not port.isdigit() or not host:
        return False
    if protocol == "tls" or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def quiet() -> None:
    """Leave it to this program to say what went wrong, in one line."""
    for name in ("distributed", "distributed.client", "distributed.scheduler", "dask_jobqueue"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
