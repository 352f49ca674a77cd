"""The claim contract: what a file in `experiments/claims` provides and what its check returns.

A file declares, as literals, `LABEL`, `STATEMENT` (our words), `SOURCE` (document and section, or author, year and
reference), `KIND` (one of `KINDS`), for a landmark also `THEIR_SETTING` and
`OUR_SETTING`, perhaps a `PICTURE` of its numbers (`experiments.verdicts.pictured`), and defines

    check(budget: str) -> Verdict

which runs the statement and judges it. It is a pure function: seeds are explicit, the global random state is left as it
was, nothing is read or written but what an image source reads. `smoke` takes seconds; `full` may take minutes and has
the seeds that its numbers need. A statement that cannot be run is no claim; one whose check raises has no verdict.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import scipy.stats
import torch

from checkerscope.analysis.statistics import interval
from checkerscope.toolkit import checks

PACKAGE = "checkerscope.experiments.claims"
VERDICTS = ("holds", "partly", "fails")
BUDGETS = ("smoke", "full")
KINDS = ("article", "landmark", "hypothesis")
NAME = re.compile(r"[a-z0-9][a-z0-9_]*")


@dataclass(frozen=True)
class Number:
    """One measured number.

    Attributes:
        value: The number, finite.
        unit: Unit, "1" for counts, ratios and shares.
        low: Lower bound of the 95 % interval; None where the number is exact or single.
        high: Upper bound.
        n: Seeds or cases it rests on.
    """

    value: float
    unit: str = "1"
    low: float | None = None
    high: float | None = None
    n: int = 1

    def __post_init__(self) -> None:
        given = [bound for bound in (self.value, self.low, self.high) if bound is not None]
        if not all(math.isfinite(bound) for bound in given):
            raise checks.mismatch("number", "finite values", given, "say in words what is undefined")
        if (self.low is None) != (self.high is None):
            raise checks.mismatch("number", "both bounds or none", f"{self.low} and {self.high}")


@dataclass(frozen=True)
class Verdict:
    """What came of running a claim.

    Attributes:
        verdict: `holds`, `partly` or `fails`.
        numbers: What was measured, by name.
        why: What decided it, in a sentence or two.
        corrected: The statement as it should read where it does not hold; dropped from the record where it does.
        key: Name of the number that says most, for tables; the first by default.
    """

    verdict: str
    numbers: Mapping[str, Number]
    why: str
    corrected: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        checks.choice("verdict", self.verdict, VERDICTS)
        if not self.numbers:
            raise checks.mismatch("verdict: numbers", "at least one", "none", "a verdict rests on what was measured")
        for name, number in self.numbers.items():
            if not NAME.fullmatch(name) or not isinstance(number, Number):
                raise checks.mismatch("verdict: numbers", "names like tone_at_start with a Number each", repr(name))
        checks.choice("verdict: key", self.key or next(iter(self.numbers)), tuple(self.numbers))
        if not self.why:
            raise checks.mismatch("verdict: why", "a sentence", "nothing")
        if self.verdict != "holds" and not self.corrected:
            raise checks.mismatch("verdict: corrected", f"a statement, since it {self.verdict}", "nothing")

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as plain values."""
        numbers = {name: asdict(number) for name, number in self.numbers.items()}
        corrected = "" if self.verdict == "holds" else self.corrected
        key = self.key or next(iter(self.numbers))
        return {"verdict": self.verdict, "numbers": numbers, "key": key, "why": self.why, "corrected": corrected}


def judge(*parts: bool) -> str:
    """Return `holds` if every part of a statement does, `fails` if none does, else `partly`.

    >>> judge(True, True), judge(True, False), judge(False)
    ('holds', 'partly', 'fails')
    """
    return "holds" if all(parts) else "partly" if any(parts) else "fails"


def exact(value: float, unit: str = "1", *, n: int = 1) -> Number:
    """Return a number without interval: a count, an identity, the largest error over `n` cases."""
    return Number(float(value), unit, n=n)


def over(values: Sequence[float], unit: str = "1") -> Number:
    """Return the mean over seeds (or images) with its 95 % interval, as `analysis.statistics.interval` makes it.

    Raises:
        ValueError: For fewer than two values, or one that is not finite.

    >>> over([1.0, 3.0]).value, over([1.0, 3.0]).n
    (2.0, 2)
    """
    if len(values) < 2:
        raise checks.mismatch("over", "at least two values", len(values), "use more seeds, or exact()")
    found = interval(values)
    return Number(found.mean, unit, found.low, found.high, found.n)


def share(hits: int, n: int) -> Number:
    """Return a share of cases with its exact binomial (Clopper-Pearson) 95 % interval.

    >>> share(0, 10).high > 0.3
    True
    """
    bounds = scipy.stats.binomtest(hits, n).proportion_ci()
    return Number(hits / n, "1", float(bounds.low), float(bounds.high), n)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run constructors and listings that draw from torch's global generator, and leave its state as it was."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        yield


def pick(budget: str, *, smoke: int, full: int) -> int:
    """Return a number of seeds, steps or cases for a budget.

    Raises:
        ValueError: If the budget is unknown.
    """
    return {"smoke": smoke, "full": full}[checks.choice("budget", budget, BUDGETS)]
