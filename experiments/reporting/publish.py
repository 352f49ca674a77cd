"""The one writer of paper/data, the published records that the manuscript is made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from checkerscope.analysis.records import Records
from checkerscope.experiments.store import disk
from checkerscope.experiments.store.records import save_records
from checkerscope.experiments.study import packaged


def check() -> None:
    """Make sure that there is a place for published records.

    Raises:
        ValueError: If the program is an installed package: nothing is ever written into that.
    """
    if not packaged.is_checkout():
        where = f"an installed package in {packaged.PROJECT}"
        raise ValueError(f"--publish: expected a checkout of the repository, got {where}; run it in a checkout")


def publish(records: Records, beside: Mapping[str, bytes] | None = None, *, folder: Path | None = None) -> Path:
    """Write records into their folder of paper/data and return it.

    Args:
        records: Of a whole study; their `study` names the folder.
        beside: More files, by name, that are outside the records' digests: times, machines.
        folder: Another one than paper/data/<study>.

    Raises:
        ValueError: If the program is an installed package.
    """
    if folder is None:
        check()
        folder = packaged.published(records.study)
    save_records(records, folder)
    for name, data in (beside or {}).items():
        disk.write(folder / name, data)
    return folder
