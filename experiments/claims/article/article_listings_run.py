"""Does every listing of the article run? Line breaks are restored first; the imports are not."""

from __future__ import annotations

from checkerscope.experiments.claims.article._listings import LISTINGS, attempt
from checkerscope.experiments.verdicts.contract import Verdict, exact, judge

LABEL = "Listings run as printed"
SOURCE = "founding article, section 1.1 to 4.3"
KIND = "article"
STATEMENT = "The listings can be pasted and run."


def check(budget: str) -> Verdict:
    """Run every listing in an empty namespace, as printed and with its imports."""
    printed = {section: attempt(section, imports=False)[1] for section in LISTINGS}
    mended = {section: attempt(section)[1] for section in LISTINGS}
    failing = [f"{section} ({type(error).__name__})" for section, error in mended.items() if error]
    numbers = {
        "listings": exact(len(LISTINGS)),
        "run_as_printed": exact(sum(error is None for error in printed.values()), n=len(LISTINGS)),
        "run_with_imports": exact(sum(error is None for error in mended.values()), n=len(LISTINGS)),
    }
    return Verdict(
        judge(not any(printed.values()), not failing),
        numbers,
        f"As printed, {', '.join(section for section, error in printed.items() if error is None) or 'none'} runs, a"
        " mere definition: the only import is that of torch.nn.functional in 1.1. With torch, nn and F imported"
        f" before each, what still raises is: {', '.join(failing)}.",
        "Import torch, torch.nn as nn and torch.nn.functional as F before every listing; mend 2.1 with"
        " output_padding=1, and give 4.2 a model.",
        key="run_as_printed",
    )
