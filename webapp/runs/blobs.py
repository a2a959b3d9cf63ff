"""Bytes in the storage, named by their SHA-256: written once, verified when read, shared by all who have the same.

Against the garbage collector (actions/garbage.py): a row is made only after its bytes are saved, and storing what is
present already touches the row, which waits for a collector that is just deleting it and saves the bytes again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db.models.functions import Now

from webapp.runs.errors import BlobCorrupt, BlobMissing, TooLarge
from webapp.runs.models import Blob

CHUNK_BYTES = 1 << 20


def name_of(sha256: str) -> str:
    """`ab/cd/abcd...`: no folder of the storage gets too many entries."""
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"


def store(path: Path) -> Blob:
    """The blob of a local file, copied into the storage unless it is there. Reads the file once more to hash it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return _keep(digest, path.stat().st_size, file)


def store_stream(chunks: Iterable[bytes], limit: int | None = None) -> Blob:
    """The blob of bytes that arrive in pieces, kept in a temporary file until all are here. Raises TooLarge."""
    limit = settings.MAX_UPLOAD_BYTES if limit is None else limit
    incoming = Path(settings.HONE_HOME) / "incoming"
    incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=incoming) as file:
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise TooLarge(limit)
            digest.update(chunk)
            file.write(chunk)
        file.seek(0)
        return _keep(digest.hexdigest(), size, file)


def fetch(blob: Blob, to: Path) -> None:
    """Writes the blob to a file, complete or not at all. Raises BlobMissing, BlobCorrupt and OSError."""
    to.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(dir=to.parent, prefix=".fetch-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            _copy_verified(blob, file)
        Path(part).replace(to)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def open_blob(blob: Blob) -> File[Any]:
    """The blob for reading in binary; the caller closes it. Raises BlobMissing. The hash is not verified."""
    try:
        return default_storage.open(name_of(blob.sha256), "rb")
    except FileNotFoundError:
        raise BlobMissing(f"The storage has no bytes for {blob.sha256}.") from None


def read(blob: Blob, limit: int = 1 << 20) -> bytes:
    """A small blob's bytes, verified. Raises TooLarge, BlobMissing and BlobCorrupt."""
    if blob.size > limit:
        raise TooLarge(limit)
    return b"".join(verified(blob))


def verified(blob: Blob) -> Iterator[bytes]:
    """The bytes in pieces. Raises BlobCorrupt at the end when they are not what the name promises."""
    digest = hashlib.sha256()
    with open_blob(blob) as source:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            yield chunk
    if digest.hexdigest() != blob.sha256:
        raise BlobCorrupt(
            f"The stored bytes of {blob.sha256} hash to {digest.hexdigest()}; restore them from a backup."
        )


def _copy_verified(blob: Blob, file: IO[bytes]) -> None:
    for chunk in verified(blob):
        file.write(chunk)


def _keep(sha256: str, size: int, file: IO[bytes]) -> Blob:
    known = Blob.objects.filter(sha256=sha256).update(touched_at=Now())
    if not (known and default_storage.exists(name_of(sha256))):
        _save(sha256, file)
    Blob.objects.bulk_create(
        [Blob(sha256=sha256, size=size)],
        update_conflicts=True,
        unique_fields=["sha256"],
        update_fields=["touched_at"],
    )
    if not default_storage.exists(name_of(sha256)):  # a collector was just at it; now the fresh row keeps it away
        _save(sha256, file)
    return Blob.objects.get(pk=sha256)


def _save(sha256: str, file: IO[bytes]) -> None:
    file.seek(0)
    default_storage.save(name_of(sha256), File(file, name=name_of(sha256)))
