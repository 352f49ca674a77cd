"""The claim contract: numbers, verdicts and how they are judged."""

from __future__ import annotations

import json
import math

import pytest
import torch

from checkerscope.experiments.verdicts.contract import Number, Verdict, exact, judge, over, pick, seeded, share

ONE = {"tone": exact(0.5)}


def test_a_mean_over_seeds_carries_its_t_interval() -> None:
    found = over([1.0, 2.0, 3.0], "dB")
    # t with two degrees of freedom: 4.3027 sd / sqrt(3)
    half = 4.302653 / math.sqrt(3)
    assert (found.value, found.unit, found.n) == (2.0, "dB", 3)
    assert (found.low, found.high) == (pytest.approx(2 - half, abs=1e-5), pytest.approx(2 + half, abs=1e-5))


def test_a_share_carries_its_exact_interval() -> None:
    found = share(10, 10)
    # the rule of three, exactly: the lower bound solves p^10 = 0.025
    assert found.low == pytest.approx(0.025**0.1)
    assert (found.value, found.high, found.n) == (1.0, 1.0, 10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Number(math.nan), "finite"),
        (lambda: Number(1.0, low=0.0), "both bounds or none"),
        (lambda: over([1.0]), "at least two values"),
        (lambda: Verdict("true", ONE, "why"), "one of 'holds', 'partly', 'fails'"),
        (lambda: Verdict("holds", {}, "why"), "at least one"),
        (lambda: Verdict("holds", {"Tone!": exact(1)}, "why"), "names like tone_at_start"),
        (lambda: Verdict("holds", {"tone": 1.0}, "why"), "a Number each"),
        (lambda: Verdict("holds", ONE, ""), "a sentence"),
        (lambda: Verdict("fails", ONE, "why"), "a statement, since it fails"),
        (lambda: Verdict("holds", ONE, "why", key="psnr"), "one of 'tone'"),
        (lambda: pick("huge", smoke=1, full=2), "one of 'smoke', 'full'"),
    ],
)
def test_what_is_no_verdict_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_a_verdict_that_holds_needs_no_correction_and_keeps_none() -> None:
    found = Verdict("holds", {"b": exact(1), "a": exact(2)}, "why", "what it would be if it did not").as_json()
    assert (found["corrected"], found["key"]) == ("", "b")
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(("parts", "word"), [((True, True), "holds"), ((True, False), "partly"), ((False,), "fails")])
def test_parts_make_a_verdict(parts: tuple[bool, ...], word: str) -> None:
    assert judge(*parts) == word


def test_seeding_leaves_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    with seeded(3):
        first = torch.rand(2)
    with seeded(3):
        again = torch.rand(2)
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)
