"""Which pictures paths name, how they pair, and what a JPEG file says of itself."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from checkerscope.toolkit.images import _pixels, _selection
from checkerscope.toolkit.images._pixels import Unusable


def png(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (value, 0, 255)).save(path)
    return path


def test_a_folder_is_walked_and_a_file_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    png(tmp_path / "b" / "2.png")
    png(tmp_path / "a.png").rename(tmp_path / "odd.name")
    (tmp_path / "b" / "notes.txt").touch()
    found = _selection.select([tmp_path / "b", tmp_path / "odd.name", str(tmp_path / "b" / "*.png")])
    assert [one.name for one in found.files] == ["2.png", "odd.name"]
    assert found.ignored == 1
    assert _selection.read(found.files[1].path).values.shape == (3, 3, 4)


def test_paths_keep_their_order_and_each_file_comes_once(tmp_path: Path) -> None:
    one, other = png(tmp_path / "1.png"), png(tmp_path / "2.png")
    (tmp_path / "link.png").symlink_to(one)
    found = _selection.select([other, one, tmp_path, tmp_path / "link.png"])
    assert [file.path.name for file in found.files] == ["2.png", "1.png"]


@pytest.mark.parametrize("paths", [[], ["no/such"], [""], ["a\0b"], ["*.nothing"]])
def test_paths_that_lead_nowhere_are_refused(paths: list[str]) -> None:
    with pytest.raises(ValueError, match="paths: expected"):
        _selection.select(paths)


def test_pairs_have_one_name_whatever_the_suffix(tmp_path: Path) -> None:
    for name in ("a.png", "sub/b.png", "c.png"):
        png(tmp_path / "out" / name)
    for name in ("a.bmp", "sub/b.png", "c.png", "c.bmp", "d.png"):
        png(tmp_path / "truth" / name)
    pictures, truth = (_selection.select([tmp_path / name]) for name in ("out", "truth"))
    pairs, problems = _selection.pair(pictures, truth)
    assert [(one.name, other.name) for one, other in pairs] == [("a.png", "a.bmp"), ("sub/b.png", "sub/b.png")]
    assert [(p.name, p.reason) for p in problems] == [
        ("c.png", "2 references of that name"),
        ("d.png", "a reference without a picture"),
    ]


def test_a_jpeg_tells_its_quantization_and_others_do_not(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG", quality=50)
    steps = _pixels.quantization(buffer.getvalue())
    assert (len(steps), steps[0], steps[63]) == (64, 16, 99)  # ITU-T T.81, table K.1
    path = png(tmp_path / "a.png", 51)
    assert _pixels.quantization(path.read_bytes()) == ()
    picture = _selection.read(path)
    assert picture.quantization == ()
    np.testing.assert_allclose(picture.values[:, 0, 0], [0.2, 0, 1], rtol=1e-6)
    with pytest.raises(Unusable, match="not a readable"):
        _pixels.quantization(b"\xff\xd8 nothing")
