"""What a user names on the command line: a model as MODULE:FACTORY, its weights and inputs, and a number of it."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkerscope.experiments.errors import STOPS

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


def load_model(factory: str) -> nn.Module:
    """Return the module that `MODULE:FACTORY` names or makes. Importing it runs the code of whoever wrote it.

    Raises:
        ValueError: If it cannot be imported, fails, or gives no module.
    """
    from torch import nn

    module, _, attribute = factory.partition(":")
    if not (module and attribute):
        raise ValueError(f"factory: expected MODULE:FACTORY, got {factory!r}; use torch.nn:Identity, for example")
    with _failures_of(factory), _current_folder():
        found = _attribute(module, attribute)
        model = found if isinstance(found, nn.Module) else found()
    if not isinstance(model, nn.Module):
        raise ValueError(f"{factory}: expected an nn.Module, got {type(model).__name__}")
    return model


def load_metric(name: str) -> Callable[[nn.Module], float]:
    """Return the user's number of a model, `MODULE:FUNCTION`.

    Raises:
        ValueError: If it cannot be imported, is no function, or, when it is called, fails or gives no number.
    """
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise ValueError(f"--metric: expected MODULE:FUNCTION, got {name!r}")
    with user_code(), _failures_of(f"--metric {name}"), _current_folder():
        found = _attribute(module, attribute)
    if not callable(found):
        raise ValueError(f"--metric {name}: expected a function, got {type(found).__name__}")

    def judged(model: nn.Module) -> float:
        with _failures_of(f"--metric {name}"):
            return float(found(model))

    return judged


def _attribute(module: str, path: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


@contextlib.contextmanager
def _current_folder() -> Iterator[None]:
    """Import from the current folder first, where the console script does not look by itself."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")


@contextlib.contextmanager
def _failures_of(name: str) -> Iterator[None]:
    """Turn whatever the user's code raises into one line that begins with its name.

    Raises:
        ValueError: If it raises anything but a request to stop.
    """
    try:
        yield
    except STOPS:
        raise
    except BaseException as error:  # the user's code may do anything
        raise ValueError(f"{name}: {type(error).__name__}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    try:
        return (str(error).strip().splitlines() or ["no message"])[0]
    except Exception:  # an exception of the user's may be broken too
        return "(it cannot be printed)"


@contextlib.contextmanager
def user_code() -> Iterator[None]:
    """Send what the user's code prints to standard error, so that standard output holds the result alone.

    Raises:
        ValueError: If it raises what is no `Exception`, to which no other part of the program has an answer.
    """
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        except (Exception, *STOPS):
            raise
        except BaseException as error:
            raise ValueError(f"the code that was named raised {type(error).__name__}: {_first_line(error)}") from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill a model from a state dict: safetensors, or a file that torch loads with weights only.

    Raises:
        ValueError: If the file is neither, or does not fit the model.
    """
    try:
        state = _state(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"--weights {path}: {_first_line(error)}") from error
    problems = _misfits(dict(model.state_dict()), state)
    if problems:
        raise ValueError(f"--weights {path}: does not fit the model: {'; '.join(problems)}")
    model.load_state_dict(state)


def _state(path: Path) -> dict[str, Tensor]:
    import torch
    from safetensors.torch import load

    try:
        is_safe = path.suffix == ".safetensors"
        with warnings.catch_warnings(action="ignore"):  # torch's, of how it will store tensors some day
            state = load(path.read_bytes()) if is_safe else torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise OSError(error.strerror or str(error)) from error
    except Exception as error:  # whatever is wrong with the file: nothing in it is ever run
        raise ValueError("expected a state dict in safetensors, or one that torch loads with weights only") from error
    if not isinstance(state, Mapping):
        raise ValueError(f"expected a state dict, got {type(state).__name__}")
    odd = [repr(key)[:80] for key in state if not isinstance(key, str)]
    if odd:
        raise ValueError(f"expected a state dict with names for keys, got {_few(odd)}")
    odd = [key for key, value in state.items() if not isinstance(value, torch.Tensor)]
    if odd:
        raise ValueError(f"expected a state dict of tensors, got other values under {_few(odd)}; save the inner one")
    odd = [f"{kind} {key}" for key, value in state.items() if (kind := _odd_kind(value))]
    if odd:
        raise ValueError(f"expected dense tensors with their numbers, got {_few(odd)}; convert them and save again")
    return dict(state)


def _odd_kind(value: Tensor) -> str:
    """Return what keeps a tensor from being copied into a plain one, or nothing."""
    import torch

    if value.is_nested:
        return "nested"
    if value.is_quantized:
        return "quantized"
    if value.layout != torch.strided:
        return "sparse"
    return "meta (without numbers)" if value.is_meta else ""


def _misfits(model: Mapping[str, Any], state: Mapping[str, Tensor]) -> list[str]:
    """Return in which ways a state dict does not fit: keys that one of the two lacks, other shapes, lost numbers."""
    both = {key: (value, state[key]) for key, value in model.items() if key in state}
    parts = [
        ("missing", [key for key in model if key not in state]),
        ("unexpected", [key for key in state if key not in model]),
        (
            "other shapes",
            [
                f"{key} {tuple(given.shape)} for {tuple(value.shape)}"
                for key, (value, given) in both.items()
                if tuple(given.shape) != tuple(getattr(value, "shape", ()))
            ],
        ),
        ("numbers that would be lost", [f"{key} {why}" for key, pair in both.items() if (why := _loss(*pair))]),
    ]
    return [f"{what}: {_few(keys)}" for what, keys in parts if keys]


def _loss(own: Any, given: Tensor) -> str:
    """Return what would be lost if numbers were copied into a model's own tensor, or nothing; rounding is not."""
    import torch

    if not isinstance(own, torch.Tensor) or own.dtype == given.dtype:
        return ""
    ranks = [2 if t.is_complex() else 1 if t.is_floating_point() else 0 for t in (own, given)]
    if ranks[0] < ranks[1]:
        return f"({given.dtype} for {own.dtype})"
    copied = given.to(own.dtype)
    if ranks[1] and not torch.equal(torch.isfinite(copied), torch.isfinite(given)):
        return f"(beyond the range of {own.dtype})"
    return "" if ranks[1] or torch.equal(copied.to(given.dtype), given) else f"({given.dtype} for {own.dtype})"


def _few(keys: list[str]) -> str:
    more = f" and {len(keys) - 2} more" if len(keys) > 2 else ""
    return ", ".join(keys[:2]) + more


#: Most numbers of an input: 8 GB of float32.
MAX_NUMBERS = 2**31


def parse_shape(text: str, option: str = "--input") -> tuple[int, ...]:
    """Return the lengths that `1,3,64,64` lists, or `1x3x64x64`.

    Raises:
        ValueError: If it lists anything but whole numbers above 0, or a shape that fits into no memory.
    """
    parts = [part.strip() for part in re.split("[,x]", text)]
    if not all(part.isdecimal() and len(part) < 20 and int(part) > 0 for part in parts):
        wanted = "batch, channels and sides such as 1,3,64,64" if option == "--input" else "sides such as 64,64"
        raise ValueError(f"{option}: expected {wanted}, got {text[:80]!r}")
    lengths = tuple(map(int, parts))
    if prod(lengths) > MAX_NUMBERS:
        raise ValueError(f"{option}: expected at most {MAX_NUMBERS} numbers, got {text!r}; use smaller sides")
    return lengths


def example(text: str, generator: Generator) -> Tensor:
    """Return an input: `1,3,64,64` is uniform on [0, 1), `1,16,16@512` holds integers below 512.

    Raises:
        ValueError: If the text is no shape.
    """
    import torch

    sides, at, below = text.partition("@")
    shape = parse_shape(sides)
    if not at:
        return torch.rand(shape, generator=generator)
    if not (below.isdecimal() and 0 < len(below) < 19 and int(below) > 0):
        raise ValueError(f"--input: expected a whole number after @, as 1,16,16@512, got {text!r}")
    return torch.randint(int(below), shape, generator=generator)


def comparison_inputs(text: str) -> Tensor:
    """Return a batch of the shape that `8,3,64,64` lists: photographs where it can hold them, else uniform noise.

    Raises:
        ValueError: If the text is no shape of two or more inputs with channels and sides.
    """
    import torch

    from checkerscope.toolkit.images import photos

    count, channels, *spatial = _batch_shape(text)
    if channels in (1, 3) and len(spatial) == 2 and max(spatial) <= 256:
        images = photos.load("test", max(spatial), seed=0, images=count)
        images = images.repeat(-(-count // len(images)), 1, 1, 1)[:count, :, : spatial[0], : spatial[1]]
        return images.mean(1, keepdim=True) if channels == 1 else images.contiguous()
    return torch.rand((count, channels, *spatial), generator=torch.Generator().manual_seed(0))


def _batch_shape(text: str) -> tuple[int, ...]:
    sides = text.split(",")
    if len(sides) < 3 or not all(part.strip().isdecimal() and int(part) > 0 for part in sides) or int(sides[0]) < 2:
        raise ValueError(f"--input: expected a batch of 2 or more, channels, sides, as 8,3,64,64; got {text!r}")
    return parse_shape(text)
