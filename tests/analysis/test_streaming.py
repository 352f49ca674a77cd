"""Spectra of a stream: the same numbers, and never more than one chunk in memory."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from analysis import spectra, streaming


def test_a_stream_gives_what_all_images_give() -> None:
    images = torch.rand(50, 2, 12, 16, generator=torch.Generator().manual_seed(0))
    chunks = iter(images.split(7))  # the last one is smaller
    torch.testing.assert_close(streaming.mean_power(chunks), spectra.mean_power(images), rtol=1e-12, atol=0)


def test_a_stream_holds_one_chunk_at_a_time() -> None:
    alive: list[weakref.ref[Tensor]] = []
    most = 0

    def chunks() -> Iterator[Tensor]:
        nonlocal most
        for _ in range(200):
            chunk = torch.zeros(500, 1, 8, 8)
            alive.append(weakref.ref(chunk))
            most = max(most, sum(each() is not None for each in alive))
            yield chunk
            del chunk

    assert streaming.mean_power(chunks()).abs().max() == 0
    assert len(alive) * 500 == 100_000
    assert most <= 2  # the one that is made, while the last one is still named


def test_what_is_no_stream_of_images_is_refused() -> None:
    with pytest.raises(ValueError, match="chunks: expected one or more, got 0"):
        streaming.mean_power(iter(()))
    with pytest.raises(ValueError, match=r"chunk: expected images of shape \(1, 8, 8\), got \(1, 8, 10\)"):
        streaming.mean_power([torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 10)])
    with pytest.raises(ValueError, match="finite"):
        streaming.mean_power([torch.full((1, 1, 8, 8), float("nan"))])
