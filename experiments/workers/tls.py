"""Certificates for a Dask cluster: one folder with a key and a certificate, which scheduler, workers and client share.

Who holds the key is let in, and may run anything. Imports the extra [dask], so it is imported by need.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from distributed.security import Security

from checkerscope.experiments.store import disk

KEY, CERTIFICATE = "key.pem", "cert.pem"
#: Days for which a certificate is good.
DAYS = 365
#: What keeps the pages of a scheduler or worker, which know neither TLS nor passwords, to its own machine.
#: Without an address even a scheduler without a dashboard serves them on every interface.
LOCAL_PAGES = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
LOCAL = ("--host", "127.0.0.1", *LOCAL_PAGES)


def security(folder: Path) -> Security:
    """Return Dask's settings for the certificates in a folder; where there are none, they are made.

    Raises:
        ValueError: If only one of the two files is there, or they cannot be made.
    """
    files = [folder / name for name in (KEY, CERTIFICATE)]
    there = [path for path in files if path.is_file()]
    if not there:
        _make(folder)
    elif len(there) == 1:
        raise ValueError(f"--dask-tls {folder}: expected {KEY} and {CERTIFICATE}, got {there[0].name} only")
    key, certificate = map(str, files)
    roles = {f"tls_{role}_{kind}": path for role in ("scheduler", "worker", "client")
             for kind, path in (("key", key), ("cert", certificate))}  # fmt: skip
    return Security(require_encryption=True, tls_ca_file=certificate, **roles)


def _make(folder: Path) -> None:
    subject = ("-subj", "/CN=checkerscope", "-days", str(DAYS), "-keyout", KEY, "-out", CERTIFICATE)
    try:
        disk.make_folder(folder)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:4096", "-nodes", *subject],
            cwd=folder, umask=0o077, check=True, capture_output=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError) as error:
        why = error.strerror if isinstance(error, OSError) else f"openssl ended with {error.returncode}"
        fix = f"put {KEY} and {CERTIFICATE} there"
        raise ValueError(f"--dask-tls {folder}: no certificate could be made ({why}); {fix}") from None


def commands(address: str, folder: Path | None) -> tuple[str, str]:
    """Return the lines that start a scheduler at an address, and a worker for it, that only the right ones can talk to.

    >>> commands("tcp://127.0.0.1:8786", None)[1]
    'dask worker tcp://127.0.0.1:8786 --nthreads 1 --host 127.0.0.1 --no-dashboard --dashboard-address 127.0.0.1:0'
    """
    port = address.rpartition(":")[2]
    if not address.startswith("tls://"):
        local = shlex.join(LOCAL)
        return f"dask scheduler --port {port} {local}", f"dask worker {address} --nthreads 1 {local}"
    words = list(LOCAL_PAGES)
    if folder is not None:
        certificate = str(folder / CERTIFICATE)
        words += ["--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", str(folder / KEY)]
    more = shlex.join(words)
    return f"dask scheduler --protocol tls --port {port} {more}", f"dask worker {address} --nthreads 1 {more}"
