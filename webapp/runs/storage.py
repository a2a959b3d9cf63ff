"""Where bytes lie: `HONE_STORAGE_URL` is `file:///folder` or `s3://bucket/prefix?endpoint=https://...&region=...`.

S3 credentials come from the usual AWS_* variables. Names are those of `webapp.runs.blobs`: the same name always means
the same bytes, so saving over an existing name is harmless.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage, storages

INCOMING = ".incoming"


def ArtifactStorage() -> Storage:  # noqa: N802 - STORAGES names it like a class
    """The storage that `HONE_STORAGE_URL` names. Raises ImproperlyConfigured for an unknown scheme."""
    url = urlsplit(settings.STORAGE_URL)
    if url.scheme == "file" and not url.netloc and url.path:
        return BlobFiles(Path(unquote(url.path)))
    if url.scheme == "s3" and url.netloc:
        return _s3(url.netloc, url.path.strip("/"), {key: values[-1] for key, values in parse_qs(url.query).items()})
    raise ImproperlyConfigured(
        f"HONE_STORAGE_URL must be file:///folder or s3://bucket/prefix?endpoint=URL&region=NAME, "
        f"not {url.scheme}://{url.hostname or ''}{url.path}."
    )


def _s3(bucket: str, prefix: str, options: dict[str, str]) -> Storage:
    from storages.backends.s3 import S3Storage

    unknown = options.keys() - {"endpoint", "region"}
    if unknown:
        raise ImproperlyConfigured(f"HONE_STORAGE_URL knows the options endpoint and region, not {sorted(unknown)}.")
    storage: Storage = S3Storage(
        bucket_name=bucket,
        location=prefix,
        endpoint_url=options.get("endpoint"),
        region_name=options.get("region"),
        file_overwrite=True,
        default_acl=None,
        querystring_auth=True,
        signature_version="s3v4",
        max_memory_size=16 << 20,  # what is larger is read through a temporary file, not through memory
    )
    return storage


class Stored(NamedTuple):
    """A file that lies in the storage."""

    name: str
    size: int
    modified_at: datetime


def stored() -> Iterator[Stored]:
    """Everything in the storage, incoming files left out; one listing, not a question per file."""
    backend: Any = storages["default"]
    if isinstance(backend, BlobFiles):
        yield from backend.stored()
        return
    prefix = backend.location
    for item in backend.bucket.objects.filter(Prefix=f"{prefix}/" if prefix else ""):
        name = item.key.removeprefix(f"{prefix}/") if prefix else item.key
        yield Stored(name, item.size, item.last_modified)


class BlobFiles(FileSystemStorage):
    """Files of mode 0600 in folders of mode 0700, complete or absent: written aside, synced, then renamed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(location=folder, file_permissions_mode=0o600, directory_permissions_mode=0o700)
        self.folder = folder

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def _save(self, name: str, content: File) -> str:  # type: ignore[type-arg]
        target = Path(self.path(name))
        incoming = self.folder / INCOMING
        for folder in (self.folder, incoming, *reversed(target.relative_to(self.folder).parents[:-1])):
            (self.folder / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=incoming, delete=False) as file:  # mkstemp's mode is 0600
            try:
                for chunk in content.chunks(1 << 20):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(target)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        return name

    def stored(self) -> Iterator[Stored]:
        for path in self.folder.glob("*/*/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
                yield Stored(path.relative_to(self.folder).as_posix(), status.st_size, modified_at)

    def drop_stale_incoming(self, before: datetime) -> None:
        """Removes what writers that were killed have left half-written."""
        for path in (self.folder / INCOMING).glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before.timestamp():
                    path.unlink()
