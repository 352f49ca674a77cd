"""Models that a user names on the command line as MODULE:FACTORY."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from torch import nn


def load_model(factory: str) -> nn.Module:
    """Return the module that `MODULE:FACTORY` names or makes. Importing it runs the code of whoever wrote it.

    Raises:
        click.UsageError: If it cannot be imported, fails, or gives no module.
    """
    from torch import nn

    name, _, attribute = factory.partition(":")
    if not (name and attribute):
        raise click.UsageError(f"factory: expected MODULE:FACTORY, got {factory!r}; use torch.nn:Identity, for example")
    sys.path.insert(0, "")  # the console script does not look into the current folder by itself
    try:
        found: Any = importlib.import_module(name)
        for part in attribute.split("."):
            found = getattr(found, part)
        model = found if isinstance(found, nn.Module) else found()
    except (Exception, SystemExit) as error:  # the user's code may do anything
        raise click.UsageError(f"{factory}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove("")
    if not isinstance(model, nn.Module):
        raise click.UsageError(f"{factory}: expected an nn.Module, got {type(model).__name__}")
    return model
