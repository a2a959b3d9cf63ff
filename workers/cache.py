"""Blobs on this worker's disk, named by their SHA-256 and linked, not copied, into the folders of runs."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from webapp.runs import blobs
from webapp.runs.models import Blob
from workers import settings


def place(blob: Blob, to: Path) -> None:
    """Puts a blob's bytes at `to`. Raises BlobMissing, BlobCorrupt and OSError."""
    cached = settings.home("cache") / "blobs" / blob.sha256[:2] / blob.sha256
    if not cached.exists():
        blobs.fetch(blob, cached)
        cached.chmod(0o400)  # the links share it: whoever wrote to one would spoil the cache
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(cached, to)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        shutil.copyfile(cached, to)
