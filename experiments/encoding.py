"""What stored bytes look like: digests, canonical JSON, JSON that carries its own digest, arrays without pickle."""

from __future__ import annotations

import hashlib
import io
import json
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
    value = json.loads(data)
    # compared as bytes: JSON itself would forgive a changed blank, and a key that is there twice
    if not isinstance(value, dict) or value.keys() != {"body", "sha256"} or data != sealed(value["body"]):
        raise ValueError("the digest of its body differs")
    return value["body"]


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return arrays as a compressed NPZ archive; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{key: arrays[key] for key in sorted(arrays)})  # type: ignore[arg-type]
    return buffer.getvalue()


def read_npz(data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an NPZ archive, never unpickling."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}
