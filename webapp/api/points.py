"""The body of a request that brings points."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from webapp.api.packing import unpacked
from webapp.api.schemas.metrics import PointsInput
from webapp.api.wire import loads
from webapp.metrics import arrow, external
from webapp.metrics.external import Columns


class PointsBody(NamedTuple):
    """Unpacked. `is_arrow`, or JSON, whatever else somebody may have called it."""

    is_arrow: bool
    body: bytes

    @classmethod
    def of(cls, headers: Mapping[str, str], body: bytes, limit: int | None = None) -> PointsBody:
        """`headers` by their names in lower case; for `limit` see `unpacked`. Raises as that does."""
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        return cls(media_type == arrow.CONTENT_TYPE, unpacked(body, headers.get("content-encoding", ""), limit))

    @property
    def digest(self) -> bytes:
        kind = arrow.CONTENT_TYPE if self.is_arrow else "application/json"
        return hashlib.sha256(kind.encode() + b"\n" + self.body).digest()

    def columns(self) -> dict[str, Columns]:
        """Raises Invalid and BadRequest."""
        return arrow.parse(self.body) if self.is_arrow else external.parse(PointsInput.of(loads(self.body)).series)
