"""What can go wrong with a run that is not the training code's fault."""

from __future__ import annotations

from webapp.accounts.errors import FieldError, Invalid

__all__ = ["BlobCorrupt", "BlobMissing", "FieldError", "Gone", "Invalid", "PathRefused", "TooLarge", "WrongState"]


class WrongState(Exception):  # noqa: N818 - reads as what it tells
    """The run is not in a state from which this is possible; the message says what is."""


class Gone(Exception):  # noqa: N818
    """The attempt is over (lost, cancelled, deleted, ...): whoever still works on it must stop and write nothing."""


class PathRefused(ValueError):  # noqa: N818
    """A path that would lead out of the run's folder, or that another system could not hold."""


class BlobMissing(Exception):  # noqa: N818
    """The storage has no bytes under this hash."""


class BlobCorrupt(Exception):  # noqa: N818
    """The bytes in the storage are not those that their name promises."""


class TooLarge(Exception):  # noqa: N818
    """More bytes than the limit; nothing was kept."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The file is larger than the limit of {limit:,} bytes (HONE_MAX_UPLOAD_BYTES).")
        self.limit = limit
