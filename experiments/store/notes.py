"""Notes of a study: what can be made again, and spares work while it is there."""

from __future__ import annotations

from typing import Any

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store import disk
from checkerscope.experiments.store.folder import StudyFolder
from checkerscope.experiments.store.manifest import unsealed
from checkerscope.experiments.store.seals import sealed


class Notes(StudyFolder):
    """The notes of a study, each under its name."""

    def save_note(self, name: str, body: Any) -> None:
        """Keep something that can be made again, such as what a drawing was made from; a read-only store keeps none."""
        with disk.if_writable():
            disk.write(self.root / f"{name}.json", sealed({"note": name, "body": body}))

    def load_note(self, name: str) -> Any:
        """Return a note, or None where it is absent, damaged, or says that it is another one."""
        try:
            found = unsealed(self.inside(f"{name}.json"))
        except StoreError:
            return None
        return found["body"] if _is_note(found, name) else None

    def note_problem(self, name: str) -> str:
        """Return what is wrong with a note, or nothing; version 0.1.0 did not say what one is of."""
        try:
            found = unsealed(self.inside(f"{name}.json"))
        except StoreError as error:
            return str(error)
        if isinstance(found, dict) and "note" in found and not _is_note(found, name):
            return f"{self.root / name}.json: a note of something else; delete it"
        return ""


def _is_note(found: Any, name: str) -> bool:
    return isinstance(found, dict) and found.get("note") == name and "body" in found
