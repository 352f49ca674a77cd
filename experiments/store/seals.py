"""What stored bytes look like: digests, canonical JSON, JSON that carries its own digest, arrays without pickle."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def to_json(value: Any) -> bytes:
    """Return canonical, readable JSON: sorted keys, ASCII, no NaN, one final newline.

    Raises:
        ValueError: If a number is not finite: JSON has no word for it.
    """
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=True) + "\n").encode()


#: Largest sum of the unpacked sizes in an archive, in bytes: a megabyte of zeros is a kilobyte packed.
MOST_ARRAYS = 2**34
#: What `sealed` writes. Reading it back takes no second encoding, which would be most of the time of a large study.
SEALED = re.compile(rb'\{\n "body": (.*),\n "sha256": "([0-9a-f]{64})"\n\}\n', re.DOTALL)


def sealed(body: Any) -> bytes:
    """Return JSON that carries the digest of its own body."""
    return to_json({"body": body, "sha256": digest(to_json(body))})


def unseal(data: bytes) -> Any:
    """Return the body of sealed JSON.

    Raises:
        ValueError: If a single bit is not as it was written.

    >>> unseal(sealed({"tone": 0.5}))
    {'tone': 0.5}
    >>> unseal(sealed({"tone": 0.5}).replace(b"5", b"6"))
    Traceback (most recent call last):
    ...
    ValueError: the digest of its body differs
    """
    # compared as bytes: JSON itself would forgive a changed blank, and a key that is there twice
    found = SEALED.fullmatch(data)
    body = found[1].replace(b"\n ", b"\n") + b"\n" if found else b""
    if not found or digest(body).encode() != found[2] or body[:-1].replace(b"\n", b"\n ") != found[1]:
        raise ValueError("the digest of its body differs")
    return json.loads(body)


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return arrays as a compressed NPZ archive; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{key: arrays[key] for key in sorted(arrays)})  # type: ignore[arg-type]
    return buffer.getvalue()


def read_npz(data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an NPZ archive, never unpickling.

    Raises:
        ValueError: If it is none, is encrypted or damaged, or holds more than `MOST_ARRAYS` bytes.

    >>> read_npz(b"")
    Traceback (most recent call last):
    ...
    ValueError: no archive of arrays (BadZipFile: File is not a zip file)
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:  # np.load would take a bare array, or a pickle
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MOST_ARRAYS:
            raise ValueError(f"{unpacked} bytes unpacked, more than {MOST_ARRAYS}")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {key: _array(archive[key]) for key in archive.files}
    except Exception as error:  # zipfile, zlib and numpy each raise a dozen kinds on bytes that nobody wrote
        raise ValueError(f"no archive of arrays ({type(error).__name__}: {error})".splitlines()[0][:300]) from error


def _array(found: Any) -> np.ndarray:
    """Return a member of an archive if it is an array: of others numpy gives the bytes."""
    if not isinstance(found, np.ndarray):
        raise TypeError("a member is no array")
    return found
