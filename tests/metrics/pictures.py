"""Small pictures in each format, written from what the formats' specifications say."""

from __future__ import annotations

import struct
import zlib


def png(width: int, height: int, grey: int = 128) -> bytes:
    """Of one grey, whole: a browser shows it."""
    lines = (b"\x00" + bytes([grey]) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


def gif(width: int, height: int) -> bytes:
    """The head of one: its screen."""
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0)


def jpeg(width: int, height: int, frame: int = 0xC0) -> bytes:
    """Its segments up to the first frame, with a thumbnail's size inside an application segment before it."""
    thumbnail = b"Exif\x00\x00" + b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", 7, 7)
    before = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    return b"\xff\xd8" + before + b"\xff\xff" + bytes([frame]) + struct.pack(">HBHHB", 11, 8, height, width, 1)


def webp_lossy(width: int, height: int) -> bytes:
    return _webp(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", width | 1 << 14, height))


def webp_lossless(width: int, height: int) -> bytes:
    return _webp(b"VP8L", b"\x2f" + struct.pack("<I", width - 1 | (height - 1) << 14))


def webp_extended(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _webp(b"VP8X", b"\x10\x00\x00\x00" + sides)


def _webp(kind: bytes, data: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
