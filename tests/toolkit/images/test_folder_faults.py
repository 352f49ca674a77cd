"""Bad folders: everything that is wrong is named, nothing hangs, and nothing is left out unsaid."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from checkerscope.toolkit.images import _files, cifar10, folder


def picture(path: Path, seed: int = 0, side: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, format="PNG")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    for i in range(8):  # at least one in each split, which the first test checks
        picture(root / f"{i}.png", seed=i)
    return root


def load(root: Path, split: str = "train", **options: object) -> torch.Tensor:
    return folder.load(split, 8, path=str(root), **options)


def truncate(path: Path) -> None:
    picture(path, seed=99)
    path.write_bytes(path.read_bytes()[:-100])


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda r: (r / "x.png").write_bytes(b""), "x.png: empty file"),
    "text": (lambda r: (r / "x.png").write_text("hello"), "x.png: not a readable PNG"),
    "header only": (lambda r: (r / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n"), "x.png: (damaged|not a readable)"),
    "EPS": (lambda r: (r / "x.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n"), "x.png: not a readable PNG"),
    "truncated": (lambda r: truncate(r / "x.png"), "x.png: damaged: OSError"),
    "dangling": (lambda r: (r / "x.png").symlink_to(r / "gone.png"), "x.png: dangling link"),
    "self link": (lambda r: (r / "x.png").symlink_to(r / "x.png"), "x.png: dangling link"),
    "folder": (lambda r: (r / "x.png").mkdir(), "x.png: a folder with the name of an image"),
    "pipe": (lambda r: os.mkfifo(r / "x.png"), "x.png: not a regular file"),
    "small": (lambda r: picture(r / "x.png", seed=9, side=5), "x.png: 5 x 5 pixels, smaller than 8 x 8"),
    "newline": (lambda r: (r / "a\nb.png").write_bytes(b""), r"a\\nb.png: empty file"),
    "odd bytes": (lambda r: open(os.fsencode(r) + b"/\xff\xfe.png", "wb").close(), r"\\udcff\\udcfe.png: empty file"),
}


def test_the_good_folder_is_good(good: Path) -> None:
    assert len(load(good)) + len(load(good, "test")) == 8 * 9
    report = folder.scan(str(good))
    assert report.train > 0
    assert report.test > 0
    assert (report.problems, report.duplicates, report.ignored) == ((), (), 0)


@pytest.mark.parametrize("fault", FAULTS)
def test_an_unusable_file_is_an_error_unless_skipped(good: Path, fault: str) -> None:
    before = {split: load(good, split) for split in ("train", "test")}
    make, message = FAULTS[fault]
    make(good)
    errors = []
    for split in before:
        try:
            load(good, split)
        except ValueError as error:
            errors.append(str(error))
    assert errors  # a file that opens belongs to one split only
    with pytest.raises(ValueError, match=f"folder: expected usable images only, got 1 unusable: {message}"):
        raise ValueError(errors[0])
    assert "skip_unusable" in errors[0]
    json.dumps(errors[0], ensure_ascii=False).encode()  # printable anywhere
    for split, images in before.items():
        kept = load(good, split, skip_unusable=True)
        assert {i.numpy().tobytes() for i in kept} == {i.numpy().tobytes() for i in images}
    if fault != "small":  # small for this patch size, but a picture
        assert [p.name for p in folder.scan(str(good)).problems] == [message.split(": ")[0].replace("\\\\", "\\")]


def test_many_unusable_files_are_counted_and_the_first_three_named(good: Path) -> None:
    for i in range(5):
        (good / f"bad{i}.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"5 unusable: bad0.png: empty file; bad1.*bad2.png: empty file; and 2 more;"):
        load(good)


def test_a_cap_is_filled_up_when_damaged_files_are_skipped(good: Path) -> None:
    for i in range(4):
        truncate(good / f"bad{i}.png")
        picture(good / "one.png", seed=100 + i)
        (good / f"bad{i}.png").write_bytes((good / "one.png").read_bytes()[:-80])
    (good / "one.png").unlink()
    assert len(load(good, images=20, skip_unusable=True)) == 20


def test_a_file_that_may_not_be_read_is_named(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", forbidden)  # chmod does not stop root
    with pytest.raises(ValueError, match=r"8 unusable: 0.png: cannot be read: Permission denied"):
        load(good)


def test_a_folder_that_may_not_be_entered_is_named(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (good / "closed").mkdir()
    scandir = os.scandir

    def guarded(path: Path) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(ValueError, match="closed: folder cannot be read: Permission denied"):
        load(good)


def test_a_huge_file_is_refused_before_it_is_read(good: Path) -> None:
    with open(good / "x.png", "wb") as sparse:
        sparse.truncate(_files.MOST_BYTES + 1)
    with pytest.raises(ValueError, match=r"x\.png: larger than 512 MiB"):
        load(good)


def test_links_do_not_make_the_walk_endless(good: Path) -> None:
    (good / "sub").mkdir()
    (good / "sub" / "up").symlink_to(good)
    (good / "sub" / "self").symlink_to(good / "sub")
    (good / "again").symlink_to(good / "sub")
    start = time.monotonic()
    walk = _files.walk(good)
    assert (len(walk.files), walk.problems) == (8, ())
    assert time.monotonic() - start < 20  # an endless walk, on however busy a machine


def test_a_linked_folder_is_followed(good: Path, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(good)
    assert torch.equal(load(tmp_path / "root"), load(good))


def test_a_deep_folder_is_walked(good: Path) -> None:
    picture(good / Path(*["d"] * 300) / "x.png", seed=50)
    assert len(_files.walk(good).files) == 9


def test_hidden_and_other_files_are_left_out_and_others_counted(good: Path) -> None:
    (good / "._0.png").write_bytes(b"resource fork")
    (good / ".cache").mkdir()
    (good / "readme.txt").write_text("hello")
    assert len(load(good)) + len(load(good, "test")) == 8 * 9
    assert folder.scan(str(good)).ignored == 1


def test_copies_are_used_once_and_reported(good: Path) -> None:
    before = load(good)
    (good / "copy.png").write_bytes((good / "3.png").read_bytes())
    Image.open(good / "4.png").save(good / "same pixels.bmp")
    report = folder.scan(str(good))
    assert sorted(report.duplicates)[0] == "copy.png = 3.png"
    assert {"same pixels.bmp = 4.png", "4.png = same pixels.bmp"} & set(report.duplicates)
    (good / "same pixels.bmp").unlink()
    assert torch.equal(load(good), before)


def test_a_file_in_both_splits_is_refused(good: Path) -> None:
    for split in ("train", "test"):
        picture(good / split / f"{split}.png", seed=3)
    message = "train and test: expected no file in both, got 1 in both, first train/train.png and test/test.png"
    for call in (lambda: load(good), lambda: folder.scan(str(good))):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r: None, r"at least one image in the train split, got none \(0 readable in all splits, 0 unusable"),
        (lambda r: (r / "a.txt").write_text(""), "0 unusable, 1 other files"),
        (
            lambda r: (r / "a.png").write_bytes(b""),
            "0 readable in all splits, 1 unusable, 0 other .* a.png: empty file",
        ),
        (lambda r: picture(r / "a.png", side=4), "1 readable in all splits, 1 unusable.* 4 x 4 pixels, smaller"),
    ],
)
def test_a_folder_without_usable_images(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        [load(tmp_path, split, skip_unusable=True) for split in ("train", "test")]
    assert "\n" not in str(caught.value)


def test_one_image_lies_in_one_split_only(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    outcomes = []
    for split in ("train", "test"):
        try:
            outcomes.append(len(load(tmp_path, split)))
        except ValueError as error:
            outcomes.append(str(error).partition(" (")[0].partition(" in the ")[0])
    assert sorted(map(str, outcomes)) == ["9", "folder: expected at least one image"]


@pytest.mark.parametrize("source", [folder, cifar10])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "path: expected the path of a folder, got ''"),
        ("a\0b", r"path: expected the path of a folder, got 'a\\x00b'"),
        (3, "path: expected the path of a folder, got 3"),
        ("/no/such/folder", r"path: expected a folder, got /no/such/folder \(nothing there\)"),
        ("n" * 300, "path: expected a folder, got n"),
        (__file__, r"path: expected a folder, got .*test_folder_faults.py \(a file\)"),
    ],
)
def test_a_bad_path_is_refused(source: object, path: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        source.load("train", 32, path=path)


def test_a_result_that_does_not_fit_is_refused(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MOST_BYTES", 5 * 12 * 64)
    assert len(load(good, images=5)) == 5
    with pytest.raises(
        ValueError, match=r"folder: images: expected at most 5 patches in 4 GiB, got [0-9]+; set images = 5"
    ):
        load(good)


def test_bad_options_are_refused(good: Path) -> None:
    with pytest.raises(ValueError, match="folder: downscale: expected an integer from 1, got 0"):
        load(good, downscale=0)
