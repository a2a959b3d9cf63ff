"""The panels of a run's media: one a series, showing its last item before any script runs."""

from __future__ import annotations

from typing import NamedTuple

from webapp.metrics.media import catalogue
from webapp.metrics.models import MediaItem
from webapp.runs.models import Run

SMALL = 160  # pixels: pictures with no longer side are shown enlarged


class MediaPanel(NamedTuple):
    name: str
    count: int  # type: ignore[assignment]  # shadows tuple.count
    last: MediaItem

    @property
    def is_image(self) -> bool:
        return self.last.kind == MediaItem.Kind.IMAGE

    @property
    def is_small(self) -> bool:
        return max(self.last.width or 0, self.last.height or 0) <= SMALL


def panels_of(run: Run) -> list[MediaPanel]:
    """By name. Two queries."""
    series = catalogue.all_of(run.pk)
    last = MediaItem.objects.defer("edges", "counts").in_bulk([some.last_id for some in series])
    return [MediaPanel(some.name, some.count, last[some.last_id]) for some in series if some.last_id in last]
