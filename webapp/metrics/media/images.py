"""What a picture's first bytes say: its format and its size. No pixel is ever decoded here.

PNG, JPEG, GIF and WebP are told by their signatures; nothing else is a picture, SVG (which is a program) least of all.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

MOST_BYTES = 10 << 20
MOST_PIXELS = 64 << 20  # what a browser decodes to 256 MiB
LONGEST_SIDE = 16_384
CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
NO_SIZE = frozenset({0x01, *range(0xD0, 0xDA)})  # JPEG markers that stand alone
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's start of frame, in its kinds

MARKER = re.compile(rb"\xff+([^\xff])")
MOST_SEGMENTS = 4096  # before JPEG's first frame

Size = tuple[int, int]  # width, height


class ImageFacts(NamedTuple):
    format: str
    width: int
    height: int


def facts(data: bytes) -> ImageFacts:
    """Raises ValueError with a sentence for what is no picture, or too large a one."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"A picture has at most {MOST_BYTES:,} bytes, not {len(data):,}.")
    for name, (signature, read) in READERS.items():
        if data.startswith(signature):
            return _checked(name, data, read)
    raise ValueError(f"A picture must be PNG, JPEG, GIF or WebP; these {len(data):,} bytes begin with {data[:8]!r}.")


def _checked(name: str, data: bytes, read: Callable[[bytes], Size]) -> ImageFacts:
    try:
        width, height = read(data)
    except (struct.error, IndexError, ValueError):
        raise ValueError(f"The picture begins like {name.upper()}, but its header can't be read.") from None
    if not (1 <= width <= LONGEST_SIDE and 1 <= height <= LONGEST_SIDE and width * height <= MOST_PIXELS):
        raise ValueError(
            f"A picture has sides of 1 to {LONGEST_SIDE:,} and at most {MOST_PIXELS:,} pixels, "
            f"not {width:,} x {height:,}."
        )
    return ImageFacts(name, width, height)


def _png(data: bytes) -> Size:
    if data[12:16] != b"IHDR":
        raise ValueError("no IHDR")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif(data: bytes) -> Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _jpeg(data: bytes) -> Size:
    """The first frame's, found by walking from segment to segment."""
    at = 2
    for _ in range(MOST_SEGMENTS):
        found = MARKER.match(data, at)
        if found is None:
            break
        marker, at = found[1][0], found.end()
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height
        if marker not in NO_SIZE:
            (length,) = struct.unpack_from(">H", data, at)
            at += max(length, 2)
    raise ValueError("no frame")


def _webp(data: bytes) -> Size:
    """Of the three forms: lossy, lossless, and extended, whose canvas counts."""
    kind = data[8:16]
    if kind == b"WEBPVP8X":
        return _int24(data, 24) + 1, _int24(data, 27) + 1
    if kind == b"WEBPVP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"WEBPVP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("no known form")


def _int24(data: bytes, at: int) -> int:
    low, high = struct.unpack_from("<HB", data, at)
    return int(low | high << 16)


READERS: dict[str, tuple[bytes | tuple[bytes, ...], Callable[[bytes], Size]]] = {
    "png": (b"\x89PNG\r\n\x1a\n", _png),
    "jpeg": (b"\xff\xd8\xff", _jpeg),
    "gif": ((b"GIF87a", b"GIF89a"), _gif),
    "webp": (b"RIFF", _webp),
}
