"""From the bytes of an image file to colour values: one stated conversion per pixel mode, or a refusal."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

#: Formats that may be opened, by content and not by name. Others, EPS above all, would start foreign programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
#: Largest picture that is decoded, in pixels. A 500-kilobyte file can claim 169 million.
MOST_PIXELS = 64_000_000
#: What shows through transparent pixels: white, as on paper.
BACKGROUND = 1.0

#: What TIFF's tags BitsPerSample, PhotometricInterpretation and SampleFormat say.
_BITS, _PHOTOMETRIC, _SAMPLE = 258, 262, 339
_WHITE_IS_ZERO, _SIGNED, _FLOAT = 0, 2, 3
_GREY_16 = ("I;16", "I;16L", "I;16B", "I;16N")
_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that swap height and width

Values = NDArray[np.float32]
T = TypeVar("T")


class Unusable(Exception):
    """A file is refused; the text says why and does not name the file, which the caller knows."""


def size_of(data: bytes) -> tuple[int, int]:
    """Return (height, width) as displayed, from the header alone.

    Raises:
        Unusable: If it is no image of `FORMATS`, too large, animated, or of a mode that `decode` refuses.
    """
    return _guarded(data, _header)


def decode(data: bytes) -> Values:
    """Return the picture as displayed, (height, width, 3) float32 in [0, 1].

    1 bit: 0 and 1. 8-bit grey, palette and colour: value / 255. 16-bit grey: value / 65535; 12-bit: / 4095; of a TIFF
    that counts from white to black, 1 minus that. Float: as it is, if within [0, 1]. CMYK: (1 - C)(1 - K) and so on,
    without colour profiles. Transparency: composited over white. Grey becomes three equal channels. EXIF rotation is
    applied. Of a multi-picture camera file (MPO) the first picture is taken. Profiles and gamma are ignored: the values
    are those in the file.

    Raises:
        Unusable: If the file is damaged, or would lose something unsaid: 16-bit colour (read at 8 bits by Pillow),
            32-bit integers (unknown range), signed integers, floats that count from white to black, colours that the
            palette lacks, animations and multi-page files, LAB and other rare modes.
    """
    return _guarded(data, _values)


def quantization(data: bytes) -> tuple[int, ...]:
    """Return the 64 quantization steps of a JPEG file's brightness, row by row; nothing for other formats.

    Raises:
        Unusable: If it is no image of `FORMATS`.
    """
    return _guarded(data, _steps) if data.startswith(b"\xff\xd8") else ()


def _steps(image: Image.Image) -> tuple[int, ...]:
    tables = getattr(image, "quantization", {})
    return tuple(next(iter(tables.values()), ()))


def _guarded(data: bytes, read: Callable[[Image.Image], T]) -> T:
    try:
        with warnings.catch_warnings():
            # warnings become errors: Pillow only warns of damaged TIFF tags; of bombs the header tells
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return read(image)
    except Unusable:
        raise
    except Image.UnidentifiedImageError:
        raise Unusable("empty file" if not data else f"not a readable {', '.join(FORMATS)} image") from None
    except Exception as error:  # a decoder may raise anything on damaged data
        raise Unusable(f"damaged: {type(error).__name__}: {error}".splitlines()[0][:160]) from error


def _header(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise Unusable(f"{width} x {height} pixels, more than {MOST_PIXELS / 1e6:.0f} megapixels")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise Unusable(f"{frames} frames or pages; save the one that is meant")
    if image.mode not in _GREY_16 and _is_deep(image):
        raise Unusable("16 bits per colour, which would be cut to 8; save it as 8-bit colour")
    _check_samples(image)
    # Pillow swaps the sides of a rotated TIFF itself
    turned = image.format != "TIFF" and image.getexif().get(ExifTags.Base.Orientation) in _QUARTER_TURNS
    return (width, height) if turned else (height, width)


def _is_deep(image: Image.Image) -> bool:
    # the decoder's arguments tell what is in the file; the mode tells only what is left of it
    tiles = getattr(image, "tile", ())
    arguments = [tile[3] for tile in tiles if image.mode != "I"]
    deep_ppm = image.format == "PPM" and any(isinstance(a, tuple) and a[-1] > 255 for a in arguments)
    return deep_ppm or any(";16" in str(argument) for argument in arguments)


def _check_samples(image: Image.Image) -> None:
    """Refuse samples that Pillow reads as if they were unsigned, and floats that it does not turn over."""
    formats = _tag(image, _SAMPLE)
    if _SIGNED in formats:
        raise Unusable("signed integers; save it as unsigned ones")
    if _FLOAT in formats and _tag(image, _PHOTOMETRIC) == (_WHITE_IS_ZERO,):
        raise Unusable("float values that count from white to black; save them from black to white")


def _tag(image: Image.Image, number: int) -> tuple[int, ...]:
    """Return what a TIFF's tag says; nothing where there is none, or the file is no TIFF."""
    found = getattr(image, "tag_v2", {}).get(number, ())
    return found if isinstance(found, tuple) else (found,)


def _values(image: Image.Image) -> Values:
    _header(image)
    kind, white = image.format, (2 ** min(_tag(image, _BITS), default=16)) - 1
    is_negative = _tag(image, _PHOTOMETRIC) == (_WHITE_IS_ZERO,)
    image = ImageOps.exif_transpose(image)
    if image.mode in _GREY_16 or (image.mode == "I" and kind in ("PNG", "PPM")):
        if "transparency" in image.info:
            raise Unusable("16-bit grey with a transparent level; save it without transparency")
        grey = np.asarray(image, dtype=np.float32) / white
        rgb: NDArray[np.floating] = (1 - grey if is_negative else grey)[..., None]
    else:
        rgb = _colour(image)
    return np.ascontiguousarray(np.broadcast_to(rgb, (*rgb.shape[:2], 3)), dtype=np.float32)


def _colour(image: Image.Image) -> NDArray[np.floating]:
    mode = image.mode
    if mode in ("P", "PA"):
        _check_palette(image)
    if mode == "F":
        return _floats(np.asarray(image))[..., None]
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"), dtype=np.float32) / 255
        return rgba[..., :3] * rgba[..., 3:] + BACKGROUND * (1 - rgba[..., 3:])
    if mode == "CMYK":
        ink = np.asarray(image, dtype=np.float32) / 255
        return (1 - ink[..., :3]) * (1 - ink[..., 3:])
    if mode in ("1", "L"):
        return (np.asarray(image.convert("L"), dtype=np.float32) / 255)[..., None]
    if mode in ("P", "RGB", "YCbCr"):
        return np.asarray(image.convert("RGB"), dtype=np.float32) / 255
    raise Unusable(f"pixel mode {mode}; save it as 8-bit grey or colour")


def _check_palette(image: Image.Image) -> None:
    """Refuse pixels whose colour the palette does not have: Pillow makes them black."""
    colours = len(image.getpalette("RGB") or ()) // 3
    used = int(np.asarray(image.getchannel("P") if image.mode == "PA" else image).max())
    if used >= colours:
        raise Unusable(f"a palette of {colours} colours, and pixels of colour number {used}")


def _floats(values: NDArray[np.floating]) -> NDArray[np.floating]:
    if not np.isfinite(values).all():
        raise Unusable("float values that are not finite")
    if values.min() < 0 or values.max() > 1:
        raise Unusable(f"float values from {values.min():.4g} to {values.max():.4g}; rescale them to [0, 1]")
    return values
