"""Argument checks at public boundaries: what was expected, what came, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import torch


def mismatch(subject: str, expected: str, got: object, fix: str = "") -> ValueError:
    """Return the project's one form of complaint, to be raised by the caller.

    >>> str(mismatch("scale", "an integer from 1", 0, "use 2"))
    'scale: expected an integer from 1, got 0; use 2'
    """
    return ValueError(f"{subject}: expected {expected}, got {got}" + (f"; {fix}" if fix else ""))


def integer(subject: str, value: Any, *, minimum: int = 1, maximum: int | None = None, fix: str = "") -> int:
    """Return `value` as an int.

    Raises:
        ValueError: If it is not an integer, lies below `minimum` or above `maximum`.
    """
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or value < minimum or (maximum is not None and value > maximum):
        end = "" if maximum is None else f" to {maximum}"
        raise mismatch(subject, f"an integer from {minimum}{end}", repr(value)[:80], fix)
    return int(value)


def odd(subject: str, value: Any) -> int:
    """Return `value` as an odd int: a kernel that is centred on its pixel.

    Raises:
        ValueError: If it is not an odd integer from 1.
    """
    if integer(subject, value) % 2 == 0:
        raise mismatch(subject, "an odd integer", value, f"use {value - 1} or {value + 1}")
    return int(value)


def choice(subject: str, value: Any, allowed: Iterable[Any], fix: str = "") -> Any:
    """Return `value` if it is one of `allowed`.

    Raises:
        ValueError: If it is not; the message lists what is allowed.
    """
    allowed = tuple(allowed)
    if value not in allowed:
        raise mismatch(subject, "one of " + ", ".join(map(repr, allowed)), repr(value)[:80], fix)
    return value


def shape(subject: str, tensor: torch.Tensor, expected: tuple[int | str, ...], fix: str = "") -> None:
    """Check a tensor's shape; a string in `expected` names an axis of any positive length.

    Raises:
        ValueError: If the number of axes or a fixed length differs.
    """
    got = tuple(tensor.shape)
    fits = len(got) == len(expected) and all(
        length > 0 if isinstance(want, str) else length == want for length, want in zip(got, expected, strict=True)
    )
    if not fits:
        raise mismatch(subject, f"shape ({', '.join(map(str, expected))})", got, fix)
