"""A Dask cluster as an executor: of any number of machines that share the results folder through the file system.

The scheduler gives a lost worker's tasks, and no others, to other workers; what it gives up is submitted again by the
caller. A Dask scheduler or worker has no authentication, and who reaches it can run anything on every worker and here:
they listen on loopback or through TLS, or are refused. Imports the extra [dask], so it is imported by need.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Client, Scheduler, Worker, WorkerPlugin
from distributed.security import Security

from checkerscope.experiments.errors import STOPPING
from checkerscope.experiments.workers import tls
from checkerscope.experiments.workers.signals import start_worker

#: Seconds that a scheduler has to answer.
TIMEOUT = 10.0
#: Workers that are reckoned with at least: a cluster may grow while it works.
WORKERS = 32
#: Returns what a process computes with, such as versions and a digest of its code, by name.
Software = Callable[[], Mapping[str, str]]
#: Says one line to whoever waits.
Say = Callable[[str], None]
GONE = "the scheduler is gone; finished runs are kept, start again to go on"


@dataclass(frozen=True)
class Terms:
    """What a worker must have in common with this process for a run to come out the same there.

    Attributes:
        folder: The study's results, under the same path and on the same file system everywhere.
        values: What else must be the same, by name: the folder's inode, versions, code.
        software: Finds out about versions and code, here and there.
        insecure: Whether a worker may listen to the network without encryption.
    """

    folder: str
    values: Mapping[str, str]
    software: Software
    insecure: bool = False

    @classmethod
    def here(cls, folder: Path, software: Software, *, insecure: bool = False) -> Terms:
        """Return what this process has."""
        return cls(str(folder), {"inode": str(folder.stat().st_ino), **software()}, software, insecure)

    def misfit(self, dask_worker: Worker) -> str:
        """Return what is wrong with the worker that this runs in, or nothing."""
        try:
            own = Terms.here(Path(self.folder), self.software).values
        except OSError as error:
            return f"does not see {self.folder} ({error.strerror}); workers need the same path on a shared file system"
        if dask_worker.state.nthreads != 1:  # a lock belongs to its process, not to a thread
            return f"expected one thread, got {dask_worker.state.nthreads}; start it with --nthreads 1"
        if not self.insecure and (open_ := exposed(dask_worker)):
            return f"listens on {open_} without encryption; start it with --host 127.0.0.1, or through TLS"
        for name, here in self.values.items():
            if own.get(name) != here:
                there = f"expected {name} {here} as here, got {own.get(name)}"
                return f"{there}; share the folder, the checkout and the installed versions"
        return ""


def exposed(server: Worker | Scheduler) -> str:
    """Return an address at which a scheduler or worker can be reached from elsewhere without encryption, or nothing."""
    for listener in server.listeners:
        address = listener.listen_address
        if address.startswith("tcp://") and not is_safe(address):
            return str(address)
    return ""


def exposed_scheduler(dask_scheduler: Scheduler) -> str:
    """Return what `exposed` does, of the scheduler that this runs in."""
    return exposed(dask_scheduler)


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
        cluster: Closed with the executor, if it was made for it.
        say: Told why a worker that joins later is refused.

    Raises:
        ValueError: If a worker does not fit.
    """

    def __init__(self, client: Client, terms: Terms, cluster: Any = None, *, say: Say) -> None:
        self._client, self._cluster, self._say = client, cluster, say
        # pure=False: a task that answered "busy" and is tried again must not get its old answer
        self._tasks = client.get_executor(pure=False)
        self._plugin = ""
        self._reasons: set[str] = set()
        for address, why in client.run(terms.misfit, on_error="return").items():
            if why:
                self.shutdown(cancel_futures=True)
                raise ValueError(f"worker {address}: {_unfit(why)}")
        self._plugin = f"checkerscope-{client.id}"
        client.subscribe_topic(self._plugin, self._refused)
        client.register_plugin(Prepare(terms, self._plugin), name=self._plugin)

    def _refused(self, event: tuple[float, tuple[str, str]]) -> None:
        """Say why a worker that joined later is refused; each reason once, for Slurm may start such jobs for ever."""
        address, why = event[1]
        if why not in self._reasons:
            self._reasons.add(why)
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


def connect(address: str, terms: Terms, certificates: Path | None, *, say: Say) -> DaskExecutor:
    """Return an executor of a running Dask cluster.

    Args:
        address: Of its scheduler: on loopback, `tls://`, or any where the terms allow what is insecure.
        terms: What every worker must share with this process.
        certificates: Folder of the key and certificate; without one those of Dask's configuration count.
        say: Told what whoever waits should know.

    Raises:
        ValueError: If the address is not safe, nobody answers there, or a worker does not fit.
    """
    _check(address, terms, certificates)
    security = None if certificates is None else tls.security(certificates)
    if address.startswith("tls://") and (security or Security()).get_connection_args("client")["ssl_context"] is None:
        raise ValueError(
            f"--dask {address}: expected certificates in Dask's configuration (distributed.comm.tls), got none;"
            " give --dask-tls FOLDER, which makes them; see docs/scale.md"
        )
    quiet()
    start_scheduler, start_worker = tls.commands(address, certificates)
    try:
        client = Client(address, timeout=TIMEOUT, set_as_default=False, security=security)
    except OSError as error:
        why = f"{error}".splitlines()[0]
        raise ValueError(f"--dask {address}: no scheduler answers ({why}); start one: {start_scheduler}") from None
    if not terms.insecure and (open_ := client.run_on_scheduler(exposed_scheduler)):
        client.close(timeout=TIMEOUT)
        raise ValueError(f"--dask {address}: listens on {open_} without encryption; start it so: {start_scheduler}")
    executor = DaskExecutor(client, terms, say=say)
    if not client.nthreads():  # not an error: a cluster may start with none and grow
        say(f"--dask {address}: no worker yet; start one with: {start_worker}")
    return executor


def _check(address: str, terms: Terms, certificates: Path | None) -> None:
    protocol, _, _ = address.rpartition("://")
    if not (is_address(address) and (is_safe(address) or terms.insecure)):
        raise ValueError(
            f"--dask {address}: expected tls://HOST:PORT, or a loopback address such as tcp://127.0.0.1:8786; a Dask"
            " scheduler has no authentication: --dask-tls FOLDER encrypts, --dask-insecure takes it all the same"
        )
    if certificates is not None and protocol != "tls":
        raise ValueError(f"--dask-tls: expected --dask tls://HOST:PORT, got {address}")


def is_address(text: str) -> bool:
    """Return whether a text is the address of a scheduler: HOST:PORT, of TCP or TLS.

    >>> [is_address(a) for a in ("tls://node1:8786", "localhost:8786", "ucx://127.0.0.1:1", "http://127.0.0.1:1")]
    [True, True, False, False]
    """
    protocol, separator, rest = text.rpartition("://")
    host, _, port = rest.rpartition(":")
    return protocol in (("tcp", "tls") if separator else ("",)) and port.isdecimal() and bool(host)


def is_safe(address: str) -> bool:
    """Return whether a scheduler's address is encrypted or stays on this machine.

    >>> [is_safe(a) for a in ("tls://node1:8786", "tcp://127.0.0.1:8786", "localhost:8786", "tcp://node1:8786")]
    [True, True, True, False]
    """
    host = address.rpartition("://")[2].rpartition(":")[0]
    if address.startswith("tls://") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def quiet() -> None:
    """Leave it to this program to say what went wrong, in one line."""
    for name in ("distributed", "distributed.client", "distributed.scheduler", "dask_jobqueue"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
