"""Files made byte by byte, whose samples no writer of ours makes: each has its exact values, or is refused by name."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from checkerscope.toolkit.images._pixels import Unusable, decode

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE = 0, 1, 3


def tiff(
    samples: bytes, bits: int, *, photometric: int = BLACK_IS_ZERO, kind: int = UNSIGNED, big: bool = False
) -> bytes:
    """Return a TIFF of one line of four samples; of one strip, uncompressed."""
    order = ">" if big else "<"
    tags = {256: 4, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: 1, 279: len(samples), 339: kind}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    # a short stands in the first bytes of its field, in either order
    entries = b"".join(struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in sorted(tags.items()))
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(f"{order}IH", 8, len(tags))
    return head + entries + bytes(4) + samples


def png(samples: bytes, palette: bytes | None, *, bits: int = 8) -> bytes:
    """Return a palette PNG of one line of four samples."""
    parts = [b"IHDR" + struct.pack(">IIBBBBB", 4, 1, bits, 3, 0, 0, 0)]
    parts += [] if palette is None else [b"PLTE" + palette]
    parts += [b"IDAT" + zlib.compress(b"\0" + samples), b"IEND"]
    chunks = [(len(p) - 4).to_bytes(4, "big") + p + zlib.crc32(p).to_bytes(4, "big") for p in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def packed12(*values: int) -> bytes:
    bits = "".join(f"{value:012b}" for value in values)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


LEVELS = (0, 1, 1000, 65535)
EXACT = {
    "16-bit grey": (tiff(struct.pack("<4H", *LEVELS), 16), [v / 65535 for v in LEVELS]),
    "16-bit grey, big-endian": (tiff(struct.pack(">4H", *LEVELS), 16, big=True), [v / 65535 for v in LEVELS]),
    "16-bit grey from white to black": (
        tiff(struct.pack("<4H", *LEVELS), 16, photometric=WHITE_IS_ZERO),
        [1 - v / 65535 for v in LEVELS],
    ),
    "12-bit grey": (tiff(packed12(0, 1, 1000, 4095), 12), [0, 1 / 4095, 1000 / 4095, 1]),
    "8-bit grey from white to black": (tiff(bytes([0, 51, 102, 255]), 8, photometric=WHITE_IS_ZERO), [1, 0.8, 0.6, 0]),
    "4-bit grey": (tiff(bytes([0x03, 0x6F]), 4), [0, 0.2, 0.4, 1]),
    "4-bit grey from white to black": (tiff(bytes([0x03, 0x6F]), 4, photometric=WHITE_IS_ZERO), [1, 0.8, 0.6, 0]),
    "2-bit grey": (tiff(bytes([0b00011011]), 2), [0, 1 / 3, 2 / 3, 1]),
    "1 bit from white to black": (tiff(bytes([0b01010000]), 1, photometric=WHITE_IS_ZERO), [1, 0, 1, 0]),
    "float": (tiff(struct.pack("<4f", 0, 0.25, 0.5, 1), 32, kind=FLOAT), [0, 0.25, 0.5, 1]),
    "PGM of 1024 levels": (b"P5 4 1 1023\n" + struct.pack(">4H", 0, 341, 682, 1023), [0, 1 / 3, 2 / 3, 1]),
    "PGM of 16 levels": (b"P5 4 1 15\n" + bytes([0, 3, 6, 15]), [0, 0.2, 0.4, 1]),
    "palette of 2 bits": (png(bytes([0b00011011]), b"\0\0\0\x33\x33\x33fff\xff\xff\xff", bits=2), [0, 0.2, 0.4, 1]),
    "palette of 5 colours": (png(bytes([0, 1, 4, 4]), bytes([0] * 3 + [51] * 3 + [7] * 6 + [255] * 3)), [0, 0.2, 1, 1]),
}  # fmt: skip


@pytest.mark.parametrize("case", EXACT)
def test_every_kind_of_sample_has_its_exact_values(case: str) -> None:
    data, expected = EXACT[case]
    np.testing.assert_allclose(decode(data)[0], [[value] * 3 for value in expected], atol=1e-6)


REFUSED = {
    "8-bit signed": (tiff(struct.pack("4b", -2, -1, 0, 127), 8, kind=SIGNED), "signed integers; save"),
    "16-bit signed": (tiff(struct.pack("<4h", -2, -1, 0, 127), 16, kind=SIGNED), "signed integers; save"),
    "32-bit signed": (tiff(struct.pack("<4i", -2, -1, 0, 127), 32, kind=SIGNED), "signed integers; save"),
    "float from white to black": (
        tiff(struct.pack("<4f", 0, 0.25, 0.5, 1), 32, photometric=WHITE_IS_ZERO, kind=FLOAT),
        "float values that count from white to black",
    ),
    "12-bit grey from white to black": (tiff(packed12(0, 1, 2, 3), 12, photometric=WHITE_IS_ZERO), "not a readable"),
    "32-bit unsigned": (tiff(struct.pack("<4I", 0, 1, 2, 70000), 32), "pixel mode I"),
    "64-bit float": (tiff(struct.pack("<4d", 0, 0, 0, 0), 64, kind=FLOAT), "not a readable"),
    "16-bit float": (tiff(struct.pack("<4e", 0, 0, 0, 0), 16, kind=FLOAT), "not a readable"),
    "palette PNG without a palette": (png(bytes([0, 1, 2, 3]), None), "a palette of 0 colours, and pixels of colour n"),
    "palette PNG with an empty palette": (png(bytes(4), b""), "a palette of 0 colours, and pixels of colour number 0"),
    "a colour that the palette lacks": (png(bytes([0, 1, 2, 1]), bytes(6)), "a palette of 2 colours, and pixels of"),
    "colour PPM of 1024 levels": (b"P6 4 1 1023\n" + bytes(24), "16 bits per colour, which would be cut to 8"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_misread_is_refused_by_name(case: str) -> None:
    data, message = REFUSED[case]
    with pytest.raises(Unusable, match=message):
        decode(data)
