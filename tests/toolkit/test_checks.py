"""Argument checks: what passes, and the one form of every complaint."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from checkerscope.toolkit import checks


def test_mismatch_says_expected_got_and_fix() -> None:
    error = checks.mismatch("scale", "an integer from 1", 0, "use 2")
    assert isinstance(error, ValueError)
    assert str(error) == "scale: expected an integer from 1, got 0; use 2"
    assert str(checks.mismatch("scale", "an integer", "none")) == "scale: expected an integer, got none"


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_integers_pass_as_int(value: object) -> None:
    assert type(checks.integer("x", value)) is int
    assert checks.integer("x", value) == value


def test_minimum_of_an_integer() -> None:
    assert checks.integer("x", 0, minimum=0) == 0
    assert checks.integer("x", -3, minimum=-3) == -3


def test_maximum_of_an_integer() -> None:
    assert checks.integer("x", 5, maximum=5) == 5
    for value in (0, 6, 10**30, 1.0):
        with pytest.raises(ValueError, match=rf"x: expected an integer from 1 to 5, got {value}"):
            checks.integer("x", value, maximum=5)


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", None, True, False, float("nan"), torch.tensor(1), [1]])
def test_what_is_no_integer_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"x: expected an integer from 1, got .+"):
        checks.integer("x", value)


def test_integer_passes_the_fix_on() -> None:
    with pytest.raises(ValueError, match=r"steps: expected an integer from 2, got 1; train longer"):
        checks.integer("steps", 1, minimum=2, fix="train longer")


def test_odd() -> None:
    assert checks.odd("k", 3) == 3
    with pytest.raises(ValueError, match=r"k: expected an odd integer, got 4; use 3 or 5"):
        checks.odd("k", 4)
    with pytest.raises(ValueError, match=r"k: expected an integer from 1, got 0"):
        checks.odd("k", 0)


def test_choice() -> None:
    assert checks.choice("mode", "b", ("a", "b")) == "b"
    assert checks.choice("mode", 2, iter((1, 2))) == 2
    with pytest.raises(ValueError, match=r"mode: expected one of 'a', 'b', got 'c'; try a"):
        checks.choice("mode", "c", ("a", "b"), "try a")


def test_shape_with_named_axes() -> None:
    checks.shape("x", torch.zeros(2, 3, 5), ("n", 3, "w"))
    checks.shape("x", torch.zeros(()), ())


@pytest.mark.parametrize(("shape", "got"), [((2, 4), r"\(2, 4\)"), ((3,), r"\(3,\)"), ((2, 3, 1), r"\(2, 3, 1\)")])
def test_other_shapes_are_refused(shape: tuple[int, ...], got: str) -> None:
    with pytest.raises(ValueError, match=rf"x: expected shape \(n, 3\), got {got}; crop it"):
        checks.shape("x", torch.zeros(shape), ("n", 3), "crop it")


def test_a_named_axis_is_not_empty() -> None:
    with pytest.raises(ValueError, match=r"x: expected shape \(n, 3\), got \(0, 3\)"):
        checks.shape("x", torch.zeros(0, 3), ("n", 3))
