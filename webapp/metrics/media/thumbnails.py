"""Small pictures in the place of large ones: made when first asked for, kept as files beside the application.

They are named by the picture's SHA-256 and may be deleted at any time. Of a picture that is small already, moves, or
can't be decoded there is none: it is shown as it is. A file is decoded only by the decoder of the format that its first
bytes named, up to a number of pixels, and by one thread of a process at a time: so many pixels of memory it takes.
"""

from __future__ import annotations

import struct
import tempfile
import threading
import zlib
from io import BytesIO
from pathlib import Path

from django.conf import settings
from PIL import Image, ImageOps

from webapp.metrics.media.images import MOST_BYTES
from webapp.metrics.models import MediaItem
from webapp.runs import blobs
from webapp.runs.models import Blob

SIDE = 512  # pixels of the longer side: a panel's picture on a screen of two dots a pixel
LEAST_BYTES = 32 << 10  # what is smaller is sent as quickly as it would be made smaller
MOST_PIXELS = 16 << 20  # 64 MiB once decoded; most JPEG is decoded at half its size, or less
QUALITY = 80
PLAIN_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"})  # others hold more than 8 bits
CONTENT_TYPE = "image/webp"
UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, OverflowError, MemoryError,
              struct.error, zlib.error, Image.DecompressionBombError)  # fmt: skip
_one_at_a_time = threading.Lock()


def of(item: MediaItem) -> bytes | None:
    """A WebP picture of at most `SIDE` x `SIDE`; None where the picture itself is to be shown. Raises BlobMissing."""
    if item.blob is None or item.blob.size <= LEAST_BYTES or max(item.width or 0, item.height or 0) <= SIDE:
        return None
    path = _path(item.blob.sha256)
    try:
        return path.read_bytes() or None
    except FileNotFoundError:
        return _made(item.blob, item.format, path)


def drop_unused() -> int:
    """Deletes those of pictures that are gone, and returns how many."""
    dropped = 0
    for shelf in _folder().glob("??"):
        made = list(shelf.glob("*.webp"))
        known = Blob.objects.in_bulk([path.stem for path in made])
        gone = [path for path in made if path.stem not in known]
        for path in gone:
            path.unlink(missing_ok=True)
        dropped += len(gone)
    return dropped


def small(data: bytes, form: str) -> bytes | None:
    """Raises one of `UNREADABLE` for what can't be decoded."""
    with Image.open(BytesIO(data), formats=[form.upper()]) as picture:
        if getattr(picture, "is_animated", False):
            return None
        if not picture.info.get("progressive"):  # all of such a JPEG is held in memory anyway
            picture.draft("RGB", (SIDE, SIDE))  # lets JPEG be decoded at a half, a quarter or an eighth
        if picture.width * picture.height > MOST_PIXELS or picture.mode not in PLAIN_MODES:
            return None
        plain = ImageOps.exif_transpose(picture)  # as browsers turn it
        reduced = plain.convert("RGBA" if plain.has_transparency_data else "RGB")
        reduced.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        out = BytesIO()
        reduced.save(out, "WEBP", quality=QUALITY)
    return out.getvalue() if len(out.getvalue()) < len(data) else None


def _made(blob: Blob, form: str, path: Path) -> bytes | None:
    """Keeps an empty file where there is none to be had, so that it is tried once."""
    data = blobs.read(blob, MOST_BYTES)
    with _one_at_a_time:
        try:
            made = small(data, form)
        except UNREADABLE:
            made = None
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(made or b"")
    Path(file.name).replace(path)
    return made


def _path(sha256: str) -> Path:
    return _folder() / sha256[:2] / f"{sha256}.webp"


def _folder() -> Path:
    return Path(settings.HONE_HOME) / "thumbnails"
