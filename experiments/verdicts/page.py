"""The page docs/claims.md: every committed verdict in words, to be read on the web."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from checkerscope.analysis.records import Records
from checkerscope.analysis.tables import claims as table
from checkerscope.experiments.verdicts.contract import VERDICTS

GROUPS = {
    "article": (
        "The founding article",
        "The article that this project started from, section by section, errors included: its statements, printed"
        " shapes and listings, run as they stand and mended.",
    ),
    "landmark": (
        "Landmark papers",
        "What the field's papers and their released code say, each at a size that two cores manage in minutes. The"
        " source's setting stands beside ours: where they differ, a verdict is about ours.",
    ),
    "hypothesis": ("This study's hypotheses", "What the study set out to test, at the size of a claim."),
}
HEAD = """# Claims

<!-- written by `checkerscope claims --budget full --publish`: edit the claims, not this page -->

Statements of the literature in our words, each with a program that runs and judges it: **holds**, **partly** or
**fails**. A verdict is about the statement as it is put here and the setting that is described. Where it does not
hold, what should be said instead follows.

"""
MARKS = dict(zip(VERDICTS, ("✓ holds", "◐ partly", "✗ fails"), strict=True))


def render(records: Records, environment: Mapping[str, Any]) -> str:
    """Return the page as Markdown.

    Args:
        records: With the tables `verdicts` and `measured`.
        environment: By claim: seconds, versions, processor.
    """
    verdicts, measured = records.tables["verdicts"], records.tables["measured"]
    parts = [HEAD, _summary(verdicts), _setting(environment), _contents(verdicts)]
    for kind, (title, text) in GROUPS.items():
        chosen = verdicts[verdicts["kind"] == kind]
        if len(chosen):
            parts += [f"## {title}\n\n{text}\n", *(_claim(row, measured) for row in chosen.to_dict("records"))]
    return "\n".join(parts)


def _summary(verdicts: pd.DataFrame) -> str:
    lines = ["| | claims | hold | hold in part | fail |", "|---|---:|---:|---:|---:|"]
    for kind, (title, _) in GROUPS.items():
        found = Counter(verdicts.loc[verdicts["kind"] == kind, "verdict"])
        counts = " | ".join(str(found[word]) for word in VERDICTS)
        lines.append(f"| [{title}](#{_anchor(title)}) | {found.total()} | {counts} |")
    return "\n".join(lines) + "\n"


def _setting(environment: Mapping[str, Any]) -> str:
    """Return the sentence about machine, versions and time."""
    if not environment:
        return ""
    minutes = sum(entry["seconds"] for entry in environment.values()) / 60
    seen = {key: sorted({entry[key] for entry in environment.values()}) for key in ("torch", "processor")}
    return (
        "`checkerscope claims --budget full` judged them in"
        f" {minutes:.0f} core-minutes of {', '.join(seen['processor'])} with torch {', '.join(seen['torch'])}, one"
        " thread per process. n counts seeds or cases. The tables behind this page are"
        " [verdicts.csv](../paper/data/claims/verdicts.csv) and [measured.csv](../paper/data/claims/measured.csv).\n"
    )


def _contents(verdicts: pd.DataFrame) -> str:
    lines = ["| claim | source | verdict |", "|---|---|---|"]
    rows = verdicts.to_dict("records")
    lines += [f"| [{r['label']}](#{r['claim']}) | {r['source']} | {MARKS[r['verdict']]} |" for r in rows]
    return "\n".join(lines) + "\n"


def _claim(row: Mapping[Hashable, Any], measured: pd.DataFrame) -> str:
    """Return one claim; its heading is the claim's name, so that other pages can link to it."""
    parts = [
        f"### {row['claim']}\n",
        f"**{row['label']}: {row['verdict']}.** {row['source']}\n",
        f"> {row['statement']}\n",
    ]
    if row["their_setting"]:
        parts.append(f"| the source's setting | ours |\n|---|---|\n| {row['their_setting']} | {row['our_setting']} |\n")
    parts.append(row["why"] + "\n")
    if row["corrected"]:
        parts.append(f"**Better:** {row['corrected']}\n")
    numbers = measured[measured["claim"] == row["claim"]].to_dict("records")
    lines = ["| measured | value | 95 % interval | n |", "|---|---:|---:|---:|"]
    lines += [
        f"| {number['number'].replace('_', ' ')} | {table.value(number)} | {table.bounds(number)} | {number['n']} |"
        for number in numbers
    ]
    folded = f"<details><summary>{len(numbers)} numbers, and how to run it</summary>\n"
    command = f"\n`checkerscope claims {row['claim']} --budget full`\n\n</details>\n"
    return "\n".join([*parts, folded, *lines, command])


def _anchor(title: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")
