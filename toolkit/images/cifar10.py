"""CIFAR-10 from its binary files, which hold plain bytes; the Python version of the data set is a pickle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.image_source import check_request, shuffled
from checkerscope.toolkit.images import _files

LABEL = "CIFAR-10"
SOURCE = "Krizhevsky 2009, Learning multiple layers of features from tiny images"
NEEDS = "path"

SIDE = 32
CLASSES_IN_FILE = 10
FILES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
_RECORD = 1 + 3 * SIDE * SIDE  # the class, then the red, green and blue planes


def load(split: str, size: int, *, seed: int = 0, path: str = "", images: int | None = None) -> Tensor:
    """Return CIFAR-10 images, (N, 3, size, size) float32 in [0, 1], 50,000 for training and 10,000 for testing.

    Args:
        split: "train" (data_batch_1.bin to data_batch_5.bin) or "test" (test_batch.bin).
        size: 32, or 16, 8, 4, ... for area averages.
        seed: Draws the order, and so which images remain under `images`.
        path: The unpacked folder, usually `cifar-10-batches-bin`.
        images: Largest number of images; all by default, which takes 586 MiB at size 32.

    Raises:
        ValueError: If a file is missing, is not a whole number of records or holds a class above 9.
    """
    check_request("cifar10", split, size, images)
    if SIDE % size:
        raise checks.mismatch("cifar10: size", "32, 16, 8, 4, 2 or 1", size, "use 32")
    root = _files.folder("cifar10", path)
    planes = torch.from_numpy(np.concatenate([_records(root / name) for name in FILES[split]])[:, 1:])
    # averaged after the choice, so that a few images do not pay for 50,000 in float32
    chosen = shuffled(planes, seed=seed, limit=images).reshape(-1, 3, SIDE, SIDE).float() / 255
    return F.avg_pool2d(chosen, SIDE // size) if size < SIDE else chosen


def fingerprint(path: str) -> str:
    """Return a SHA-256 over the files of both splits.

    Raises:
        ValueError: If there is no such folder, or a file is missing.
    """
    root = _files.folder("cifar10", path)
    names = [name for split in FILES.values() for name in split]
    return _files.digest("".join(_files.digest(_bytes(root / name)) for name in names).encode())


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        name = _files.printable(Path(path.name))
        raise checks.mismatch("cifar10", f"a file {name} in the folder", "none", "unpack cifar-10-binary.tar.gz there")
    return path.read_bytes()


def _records(path: Path) -> NDArray[np.uint8]:
    name = _files.printable(Path(path.name))
    data = np.frombuffer(_bytes(path), dtype=np.uint8)
    if not data.size or data.size % _RECORD:
        raise checks.mismatch(f"cifar10: {name}", f"records of {_RECORD} bytes", f"{data.size} bytes", "fetch it again")
    records = data.reshape(-1, _RECORD)
    if records[:, 0].max() >= CLASSES_IN_FILE:
        got = int(records[:, 0].max())
        raise checks.mismatch(f"cifar10: {name}", "classes from 0 to 9", got, "fetch it again: it is damaged")
    return records
