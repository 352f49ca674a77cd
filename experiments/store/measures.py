"""What measures found, one sealed JSON per run and measure, and its arrays beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store import disk
from checkerscope.experiments.store.folder import StudyFolder
from checkerscope.experiments.store.manifest import read, unsealed
from checkerscope.experiments.store.seals import digest, npz, read_npz, sealed


class Measures(StudyFolder):
    """The measured numbers of a study."""

    def save_measure(self, run: str, name: str, body: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Store what one measure says of one run as it is now; the JSON is written last and makes it count."""
        folder = self.inside("measures", run)
        packed = npz(arrays) if arrays else b""
        if packed:
            disk.write(folder / f"{name}.npz", packed)
        whose = {"measure": name, "run": run, "of": self.trained(run)}
        disk.write(folder / f"{name}.json", sealed({**body, **whose, "arrays": digest(packed), "size": len(packed)}))
        if not packed:
            disk.remove(folder / f"{name}.npz")

    def measure_stamp(self, run: str, name: str) -> Any:
        """Return what a measure's stored numbers were made from, or None where they are absent or damaged."""
        found = self.measured(run, name)
        return None if found is None else found[0].get("stamp")

    def load_measure(self, run: str, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """Return a measure's body and arrays, or None where it is absent or damaged (it is then measured again).

        Raises:
            StoreError: If its digests are right, and yet its arrays are not what the store writes.
        """
        found = self.measured(run, name)
        try:
            return None if found is None else (found[0], read_npz(found[1]) if found[1] else {})
        except ValueError as error:
            path = self.root / "measures" / run / f"{name}.npz"
            raise StoreError(f"{path}: {error}; delete it and measure again") from None

    def measured(self, run: str, name: str) -> tuple[dict[str, Any], bytes] | None:
        """Return a measure's body and its arrays as stored.

        None where any of it is absent or damaged, or was taken of another run, or of this one before it was trained
        again.
        """
        try:
            body = unsealed(self.inside("measures", run, f"{name}.json"))
            arrays = self.inside("measures", run, f"{name}.npz")
            packed = b"" if body["arrays"] == digest(b"") else read(arrays, body.get("size"))
            is_whole = digest(packed) == body["arrays"] and all(_are_values(*item) for item in body["values"].items())
            whose = {"measure": name, "run": run, "of": self.trained(run)}
            # version 0.1.0 did not say whose they are
            is_ours = "of" not in body or all(body[key] == value for key, value in whose.items())
        except (StoreError, TypeError, KeyError, AttributeError):
            return None
        return (body, packed) if is_whole and is_ours else None


def _are_values(step: str, values: Any) -> bool:
    """Return whether this is a step and its numbers, None where one is not finite."""
    return step.isdecimal() and all(value is None or isinstance(value, (int, float)) for value in values.values())
