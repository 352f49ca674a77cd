"""What stored bytes look like: digests, canonical JSON, JSON that carries its own digest, arrays without pickle."""

from __future__ import annotations

import hashlib
import io
import json
import re
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
    """Return the arrays of an NPZ archive, never unpickling."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}
