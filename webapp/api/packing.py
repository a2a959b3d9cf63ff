"""Request bodies that come compressed: gzip or zstd by `Content-Encoding`, and never inflated beyond the limit."""

from __future__ import annotations

import pyarrow as pa
from django.conf import settings

from webapp.api.errors import BadRequest, TooLarge, Unsupported

ENCODINGS = ("gzip", "zstd")
PIECE_BYTES = 1 << 20


def unpacked(body: bytes, encoding: str, limit: int | None = None) -> bytes:
    """The body as it was before it was compressed; `encoding` is the header Content-Encoding.

    Raises Unsupported, BadRequest and TooLarge: beyond `limit`, which is that of every body where it is left out.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ENCODINGS:
        raise Unsupported(f"Content-Encoding must be one of {', '.join(ENCODINGS)}, not {encoding[:60]!r}.")
    return inflate(body, encoding, limit or int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE))


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Piece by piece: of a body that would grow beyond `limit`, no more than that is ever inflated."""
    pieces: list[bytes] = []
    size = 0
    try:
        with pa.CompressedInputStream(pa.py_buffer(body), encoding) as stream:
            while piece := stream.read(PIECE_BYTES):
                size += len(piece)
                if size > limit:
                    raise TooLarge(f"The request body is larger than the limit of {limit:,} bytes once it is unpacked.")
                pieces.append(piece)
    except (pa.ArrowException, OSError) as error:
        raise BadRequest(f"The body can't be unpacked as {encoding}: {error}.") from None
    return b"".join(pieces)
