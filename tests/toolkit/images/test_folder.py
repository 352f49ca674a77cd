"""The folder source and CIFAR-10: exact colours per pixel mode, splits, draws."""

from __future__ import annotations

import io
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from checkerscope.toolkit.images import cifar10, folder
from checkerscope.toolkit.images._pixels import Unusable, decode, size_of


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def palette(transparent: bool = False) -> bytes:
    image = Image.new("P", (4, 1))
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 51, 102, 153])
    image.putdata([0, 1, 2, 3])
    return saved(image, "PNG", **({"transparency": bytes([255, 255, 0, 51])} if transparent else {}))


def of(mode: str, values: list[object], kind: str = "PNG", **options: object) -> bytes:
    image = Image.new(mode, (4, 1))
    image.putdata(values)
    return saved(image, kind, **options)


def grey(*values: float) -> list[list[float]]:
    return [[v] * 3 for v in values]


GOLDEN = {
    "1 bit": (of("1", [0, 255, 255, 0]), grey(0, 1, 1, 0)),
    "8-bit grey": (of("L", [0, 51, 102, 255]), grey(0, 0.2, 0.4, 1)),
    "16-bit grey": (of("I;16", [0, 1, 256, 65535]), grey(0, 1 / 65535, 256 / 65535, 1)),
    "16-bit grey TIFF": (of("I;16", [0, 1, 256, 65535], "TIFF"), grey(0, 1 / 65535, 256 / 65535, 1)),
    "16-bit grey PGM": (b"P5 4 1 65535\n\0\0\0\1\1\0\xff\xff", grey(0, 1 / 65535, 256 / 65535, 1)),
    "float": (of("F", [0.0, 0.25, 0.001, 1.0], "TIFF"), grey(0, 0.25, 0.001, 1)),
    "palette": (palette(), [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.2, 0.4, 0.6]]),
    "palette, transparent": (palette(transparent=True), [[0, 0, 0], [1, 0, 0], [1, 1, 1], [0.84, 0.88, 0.92]]),
    "grey + alpha": (of("LA", [(0, 255), (0, 0), (51, 51), (255, 255)]), grey(0, 1, 0.2 * 0.2 + 0.8, 1)),
    "colour": (
        of("RGB", [(0, 51, 102), (255, 0, 0), (1, 2, 3), (255, 255, 255)]),
        [[0, 0.2, 0.4], [1, 0, 0], [1 / 255, 2 / 255, 3 / 255], [1, 1, 1]],
    ),
    "colour + alpha": (
        of("RGBA", [(0, 51, 102, 255), (255, 0, 0, 0), (0, 0, 0, 51), (51, 51, 51, 204)]),
        [[0, 0.2, 0.4], [1, 1, 1], [0.8, 0.8, 0.8], [0.36, 0.36, 0.36]],
    ),
    "colour + transparent colour": (
        of("RGB", [(1, 2, 3), (0, 0, 0), (0, 0, 0), (255, 0, 0)], transparency=(1, 2, 3)),
        [[1, 1, 1], [0, 0, 0], [0, 0, 0], [1, 0, 0]],
    ),
    "CMYK": (
        of("CMYK", [(0, 0, 0, 0), (0, 0, 0, 255), (255, 0, 0, 0), (51, 102, 0, 51)], "TIFF"),
        [[1, 1, 1], [0, 0, 0], [0, 1, 1], [0.64, 0.48, 0.8]],
    ),
    "bitmap": (of("RGB", [(0, 51, 102)] * 4, "BMP"), [[0, 0.2, 0.4]] * 4),
    "WebP": (of("RGB", [(0, 51, 102)] * 4, "WEBP", lossless=True), [[0, 0.2, 0.4]] * 4),
    "one frame of GIF": (of("L", [0, 51, 102, 255], "GIF"), grey(0, 0.2, 0.4, 1)),
}


@pytest.mark.parametrize("mode", GOLDEN)
def test_every_pixel_mode_has_its_exact_values(mode: str) -> None:
    data, expected = GOLDEN[mode]
    assert size_of(data) == (1, 4)
    found = decode(data)
    assert found.dtype == np.float32
    assert found.shape == (1, 4, 3)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_the_camera_says(kind: str, orientation: int) -> None:
    image = Image.fromarray(np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40, np.ones((8, 8), np.uint8)))
    exif = Image.Exif()
    exif[274] = orientation
    data = saved(image, kind, exif=exif)
    turned = {1: image, 2: ImageOps.mirror(image), 3: image.rotate(180), 4: ImageOps.flip(image)}
    turned |= {6: image.rotate(-90, expand=True), 8: image.rotate(90, expand=True)}
    turned |= {5: ImageOps.mirror(turned[6]), 7: ImageOps.mirror(turned[8])}
    expected = np.asarray(turned[orientation], dtype=np.float32) / 255
    assert size_of(data) == expected.shape
    np.testing.assert_allclose(decode(data)[..., 0], expected, atol=0.02 if kind == "JPEG" else 0)


REFUSED = {
    "16-bit colour PNG": "16 bits per colour",
    "16-bit colour PPM": "16 bits per colour",
    "animation": "2 frames or pages",
    "pages": "2 frames or pages",
    "32-bit integers": "signed integers",
    "LAB": "pixel mode LAB",
    "float out of range": "float values from -0.5 to 2",
    "float NaN": "not finite",
    "empty": "empty file",
    "text": "not a readable PNG",
    "SVG": "not a readable PNG",
    "EPS": "not a readable PNG",
    "PNG magic": "not a readable PNG|damaged",
    "bomb of 81 megapixels": "9000 x 9000 pixels, more than 64 megapixels",
    "bomb of 196 megapixels": "DecompressionBombWarning|more than 64 megapixels",
    "bomb of 900 megapixels": "DecompressionBombError",
    "text bomb": "damaged: ValueError|more than 64",
}


def deep_png() -> bytes:
    header = b"IHDR" + (4).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    body = b"IDAT" + zlib.compress(b"\0" + bytes(24))
    parts = [header, body, b"IEND"]
    chunks = [(len(p) - 4).to_bytes(4, "big") + p + zlib.crc32(p).to_bytes(4, "big") for p in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def bomb(side: int) -> bytes:
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    parts = [header, b"IDAT" + zlib.compress(b"\0" * 9), b"IEND"]
    chunks = [(len(p) - 4).to_bytes(4, "big") + p + zlib.crc32(p).to_bytes(4, "big") for p in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def text_bomb() -> bytes:
    plain = of("L", [0, 1, 2, 3])
    note = b"zTXtnote\0\0" + zlib.compress(b"a" * 8_000_000, 9)
    chunk = (len(note) - 4).to_bytes(4, "big") + note + zlib.crc32(note).to_bytes(4, "big")
    return plain[:33] + chunk + plain[33:]


def refused_file(case: str) -> bytes:
    frame = Image.new("L", (4, 4), 10)
    makers = {
        "16-bit colour PNG": deep_png,
        "16-bit colour PPM": lambda: b"P6 1 1 65535\n" + bytes(6),
        "animation": lambda: saved(frame, "GIF", save_all=True, append_images=[Image.new("L", (4, 4), 200)]),
        "pages": lambda: saved(frame, "TIFF", save_all=True, append_images=[frame]),
        "32-bit integers": lambda: of("I", [0, 1, 2, 70000], "TIFF"),
        "LAB": lambda: of("LAB", [(0, 0, 0)] * 4, "TIFF"),
        "float out of range": lambda: of("F", [-0.5, 0.0, 1.0, 2.0], "TIFF"),
        "float NaN": lambda: of("F", [0.0, float("nan"), 0.0, 0.0], "TIFF"),
        "empty": lambda: b"",
        "text": lambda: b"not a picture",
        "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "EPS": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 1\nshowpage\n",
        "PNG magic": lambda: b"\x89PNG\r\n\x1a\n",
        "bomb of 81 megapixels": lambda: bomb(9000),
        "bomb of 196 megapixels": lambda: bomb(11000),
        "bomb of 900 megapixels": lambda: bomb(30000),
        "text bomb": text_bomb,
    }
    return makers[case]()


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_exactly_is_refused(case: str) -> None:
    data = refused_file(case)
    with pytest.raises(Unusable, match=REFUSED[case]):
        decode(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM", "GIF"])
def test_a_truncated_file_is_refused_or_intact(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), kind, **({"quality": 90} if kind == "JPEG" else {}))
    whole = decode(data)
    intact = 0
    for cut in np.linspace(0, len(data) - 1, 40).astype(int):
        try:
            found = decode(data[:cut])
        except Unusable:
            continue
        intact += 1
        np.testing.assert_array_equal(found, whole)  # only the end marker was lost
    assert intact <= 2


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for i in range(12):
        noise = np.random.default_rng(i).integers(0, 256, (12, 20, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{i}.png")
    return tmp_path


def load(path: Path, split: str = "train", size: int = 8, **options: object) -> torch.Tensor:
    return folder.load(split, size, path=str(path), **options)


def test_a_folder_gives_patches_of_the_contract(pictures: Path) -> None:
    train, test = load(pictures), load(pictures, "test")
    assert train.dtype == torch.float32
    assert train.shape[1:] == (3, 8, 8)
    assert len(train) + len(test) == 12 * 2 * 4  # 12 images, patches at stride 4
    assert torch.cdist(train.flatten(1), test.flatten(1)).min() > 0.1
    assert torch.equal(train, load(pictures))
    assert torch.equal(load(pictures, images=5), train[:5])
    assert not torch.equal(train, load(pictures, seed=1))
    assert load(pictures, downscale=2, size=6).shape[0] * 4 == load(pictures, size=8).shape[0]


def test_patches_are_cut_from_where_they_should(pictures: Path) -> None:
    cut = load(pictures, size=12)
    images = [np.asarray(Image.open(path), dtype=np.float32) / 255 for path in pictures.iterdir()]
    expected = {i[:, x : x + 12].transpose(2, 0, 1).tobytes() for i in images for x in (0, 6)}
    assert all(patch.numpy().tobytes() in expected for patch in cut)
    assert len({patch.numpy().tobytes() for patch in cut}) == len(cut)


def test_the_result_does_not_depend_on_names_or_folders(pictures: Path) -> None:
    before, digest = load(pictures), folder.scan(str(pictures)).digest
    (pictures / "deep" / "deeper").mkdir(parents=True)
    for i, path in enumerate(sorted(pictures.glob("*.png"))):
        path.rename(pictures / "deep" / f"{11 - i}.PNG" if i % 2 else pictures / f"a{11 - i}.png")
    assert torch.equal(load(pictures), before)
    assert folder.scan(str(pictures)).digest == digest


def test_an_image_stays_in_its_split_when_others_come(pictures: Path) -> None:
    before = {patch.numpy().tobytes() for patch in load(pictures, "test")}
    for i in range(12, 20):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (12, 20, 3), dtype=np.uint8)).save(
            pictures / f"{i}.png"
        )
    assert before <= {patch.numpy().tobytes() for patch in load(pictures, "test")}


def test_subfolders_named_after_the_splits_are_the_splits(pictures: Path) -> None:
    for split, names in (("train", range(9)), ("test", range(9, 11))):
        (pictures / split).mkdir()
        for i in names:
            (pictures / f"{i}.png").rename(pictures / split / f"{i}.png")
    assert len(load(pictures)) == 9 * 8
    assert len(load(pictures, "test")) == 2 * 8
    report = folder.scan(str(pictures))
    assert (report.train, report.test, report.ignored) == (9, 2, 1)


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    for split, files in cifar10.FILES.items():
        for k, name in enumerate(files):
            records = np.random.default_rng(k + 10 * (split == "test")).integers(0, 256, (20, 3073), dtype=np.uint8)
            records[:, 0] %= 10
            records.tofile(tmp_path / name)
    return tmp_path


def test_cifar10_is_read_plane_by_plane(cifar: Path) -> None:
    found = cifar10.load("test", 32, path=str(cifar))
    raw = np.fromfile(cifar / "test_batch.bin", dtype=np.uint8).reshape(20, 3073)[:, 1:]
    expected = {row.reshape(3, 32, 32).astype(np.float32).tobytes() for row in raw}
    assert {(image * 255).round().numpy().tobytes() for image in found} == expected
    assert cifar10.load("train", 32, path=str(cifar)).shape == (100, 3, 32, 32)
    half = cifar10.load("train", 16, path=str(cifar), images=3)
    whole = cifar10.load("train", 32, path=str(cifar), images=3)
    torch.testing.assert_close(half, whole.unflatten(3, (16, 2)).unflatten(2, (16, 2)).mean((3, 5)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda p: (p / "data_batch_3.bin").unlink(),
            "cifar10: expected a file data_batch_3.bin in the folder, got none",
        ),
        (
            lambda p: (p / "data_batch_1.bin").write_bytes(b"abc"),
            "data_batch_1.bin: expected records of 3073 bytes, got 3",
        ),
        (
            lambda p: (p / "data_batch_1.bin").write_bytes(b""),
            "data_batch_1.bin: expected records of 3073 bytes, got 0",
        ),
        (lambda p: (p / "data_batch_2.bin").write_bytes(b"\x0a" + bytes(3072)), "classes from 0 to 9, got 10"),
    ],
)
def test_damaged_cifar10_is_named(cifar: Path, damage: object, message: str) -> None:
    damage(cifar)
    with pytest.raises(ValueError, match=message):
        cifar10.load("train", 32, path=str(cifar))


def test_cifar10_has_no_other_sizes(cifar: Path) -> None:
    with pytest.raises(ValueError, match="cifar10: size: expected 32, 16, 8, 4, 2 or 1, got 24"):
        cifar10.load("train", 24, path=str(cifar))


def test_reading_leaves_the_warning_filters_alone() -> None:
    before = list(warnings.filters)
    decode(GOLDEN["colour"][0])
    assert warnings.filters == before
