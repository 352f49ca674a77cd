"""The command `checkerscope claims`: judge what the literature says."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from checkerscope.experiments.cli.options import as_json, results_folder
from checkerscope.experiments.cli.terminal import say

if TYPE_CHECKING:
    from checkerscope.experiments.verdicts.judging import VerdictStore

BUDGETS = ("smoke", "full")
#: Named claims are shown in full up to this number; beyond it, and without names, as a table.
IN_FULL = 3


@click.command("claims", short_help="Judge what the literature says: holds, partly or fails.")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--budget",
    type=click.Choice(BUDGETS),
    default="smoke",
    show_default=True,
    help="smoke: seconds per claim. full: the seeds that the paper's verdicts rest on, up to an hour.",
)
@click.option(
    "--workers",
    type=click.IntRange(0, 1024),
    help="Worker processes; 0 works in this one.  [default: one per core]",
)
@results_folder()
@click.option("--again", is_flag=True, help="Judge anew what already has a verdict of the present code.")
@click.option(
    "--publish",
    is_flag=True,
    help="Also write paper/data/claims and docs/claims.md, which are committed; needs --budget full.",
)
@click.option("--check", is_flag=True, help="Exit 4 if a verdict differs from the committed one; needs --budget full.")
@as_json
def claims(
    names: tuple[str, ...],
    budget: str,
    workers: int | None,
    results: Path,
    again: bool,
    publish: bool,
    check: bool,
    as_json: bool,
) -> int:
    """Run the claims of the literature and judge each: holds, partly or fails.

    All claims, or those with a NAME. Verdicts are kept as they come; what already has one of the present code is not
    judged again. Exit 1 if a claim raised, which is no verdict.

    A commit that changes a committed verdict says so in a line that begins with `Numbers:`; --check looks at the
    history too.
    """
    from checkerscope.experiments.reporting import publish as publishing
    from checkerscope.experiments.verdicts import published
    from checkerscope.experiments.verdicts.contract import PACKAGE
    from checkerscope.experiments.verdicts.judging import VerdictStore
    from checkerscope.toolkit import catalog

    for name in names:
        catalog.find(PACKAGE, name)
    chosen = list(dict.fromkeys(names)) or list(catalog.names(PACKAGE))
    verdicts = VerdictStore.open(results, budget, again=again)
    if (publish or check) and budget != "full":
        raise click.UsageError("--publish and --check need --budget full: smoke verdicts rest on few seeds")
    if publish:
        publishing.check()
    pending = verdicts.pending(chosen)
    if pending:
        _judge(verdicts, pending, total=len(chosen), workers=workers)
    if publish and not verdicts.failures:
        published.publish(verdicts, chosen)
    bodies = verdicts.bodies([name for name in chosen if not _raised(verdicts, name)])
    _show(bodies, verdicts.failures, as_json=as_json, in_full=0 < len(names) <= IN_FULL)
    if verdicts.failures:
        return 1
    return _compare(bodies) if check else 0


def _compare(bodies: list[dict[str, Any]]) -> int:
    """Say what differs from the committed verdicts, and which commits changed one unsaid."""
    from checkerscope.experiments.study import source_code
    from checkerscope.experiments.verdicts import history, published

    lines = published.differences(bodies, published.load())
    try:
        lines += history.unexplained(source_code.PROJECT)
    except history.NoHistory as absent:
        say(f"history not checked: {absent}", err=True)
    for line in lines:
        say(f"differs: {line}", err=True)
    return 4 if lines else 0


def _raised(verdicts: VerdictStore, name: str) -> bool:
    return any(line.startswith(f"{name}: ") for line in verdicts.failures)


def _judge(verdicts: VerdictStore, pending: list[str], *, total: int, workers: int | None) -> None:
    """Judge in worker processes, with one bar on standard error."""
    from checkerscope.experiments.cli.terminal import Screen
    from checkerscope.experiments.workers import local

    count = min(local.default_workers("cpu") if workers is None else max(workers, 1), len(pending))
    tally: Counter[str] = Counter()
    executor = local.InlineExecutor() if workers == 0 else local.local(count, "cpu")
    window = 1 if workers == 0 else 2 * count  # in this process a verdict is kept before the next claim begins
    verb, done = f"judging ({verdicts.budget})", total - len(pending)
    with Screen().bar(verb, total=total, done=done, unit="claims") as bar:

        def judged(name: str, verdict: str) -> None:
            tally[verdict] += 1
            bar.advance(", ".join(f"{n} {word}" for word, n in sorted(tally.items())))

        verdicts.judge(pending, executor, window=window, done=judged)
    executor.shutdown()


def _show(bodies: list[dict[str, Any]], failures: list[str], *, as_json: bool, in_full: bool) -> None:
    if as_json:
        import json

        say(json.dumps({"verdicts": bodies, "failures": failures}, indent=1, allow_nan=False))
    elif in_full:
        say("\n\n".join(_full(body) for body in bodies))
    else:
        from checkerscope.experiments.cli.terminal import columns

        rows = [
            {"verdict": b["verdict"]["verdict"], "claim": b["claim"]["name"], "about": b["claim"]["label"]}
            for b in bodies
        ]
        say(columns(rows))
        say("\n" + _summary(bodies))
    for line in failures:
        say(f"raised: {line}", err=True)


def _summary(bodies: list[dict[str, Any]]) -> str:
    counts = Counter(body["verdict"]["verdict"] for body in bodies)
    return f"{len(bodies)} claims: {counts['holds']} hold, {counts['partly']} hold in part, {counts['fails']} fail"


def _full(body: dict[str, Any]) -> str:
    """Return everything about one verdict as lines for a terminal."""
    from checkerscope.experiments.cli.terminal import columns, fit

    claim, verdict = body["claim"], body["verdict"]
    rows = [{"number": name, "value": _number(number)} for name, number in verdict["numbers"].items()]
    before = {"Claim": claim["statement"], "Theirs": claim["their_setting"], "Ours": claim["our_setting"]}
    after = {"Why": verdict["why"], "Better": verdict["corrected"]}
    parts = [f"{claim['name']} ({claim['source']}): {verdict['verdict'].upper()}", *_paragraphs(before)]
    lines = [line for part in (*parts, columns(rows), *_paragraphs(after)) for line in part.split("\n")]
    return "\n".join(fit(line) for line in lines)


def _paragraphs(texts: dict[str, str]) -> list[str]:
    """Return every text that is not empty, each folded to the terminal."""
    width = shutil.get_terminal_size().columns
    return [textwrap.fill(f"{word}: {text}", width, subsequent_indent="  ") for word, text in texts.items() if text]


def _number(number: dict[str, Any]) -> str:
    unit = "" if number["unit"] == "1" else f" {number['unit']}"
    if number["low"] is None:
        return f"{number['value']:.4g}{unit}"
    return f"{number['value']:.4g}{unit}, 95 % interval {number['low']:.3g} to {number['high']:.3g}, n = {number['n']}"
