"""Every read of media."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from django.contrib.postgres.aggregates import ArrayAgg

from webapp.metrics.media import catalogue
from webapp.metrics.media.items import Histogram
from webapp.metrics.models import MediaItem
from webapp.metrics.points import Float64, Int64


class MediaSeries(NamedTuple):
    """All items of one name, at their steps in order."""

    name: str
    kind: str
    steps: list[int]


class Spread(NamedTuple):
    """Histograms of many steps over the same bins: steps int64 (n,), edges float64 (bins + 1,), counts (bins, n)."""

    steps: Int64
    edges: Float64
    counts: Float64


def series_of(run_id: int) -> list[MediaSeries]:
    """By name. Two queries."""
    rows = MediaItem.objects.filter(run_id=run_id).order_by("name").values_list("name")
    steps = dict(rows.annotate(steps=ArrayAgg("step", order_by="step")))
    return [
        MediaSeries(some.name, some.kind, steps[some.name]) for some in catalogue.all_of(run_id) if some.name in steps
    ]


def items_of(run_id: int, name: str) -> list[MediaItem]:
    """In order of their steps, with the sizes of their pictures and without their bins."""
    items = MediaItem.objects.filter(run_id=run_id, name=name).select_related("blob").defer("edges", "counts")
    return list(items.order_by("step"))


def item_at(run_id: int, name: str, step: int | None = None) -> MediaItem | None:
    """The last item at or before `step`, the very last without one; None where there is none."""
    items = MediaItem.objects.filter(run_id=run_id, name=name).select_related("blob")
    return (items if step is None else items.filter(step__lte=step)).order_by("-step").first()


def histogram_of(item: MediaItem) -> Histogram:
    return Histogram.unpack(bytes(item.edges or b""), bytes(item.counts or b""))


def spread(run_id: int, name: str, bins: int = 64, most: int = 200) -> Spread:
    """The histograms of a series over `bins` equal bins; of more than `most` steps every so many-th, and the last."""
    steps = list(MediaItem.objects.filter(run_id=run_id, name=name).order_by("step").values_list("step", flat=True))
    chosen = _some(steps, most)
    items = MediaItem.objects.filter(run_id=run_id, name=name, step__in=chosen).order_by("step")
    found = [histogram_of(item) for item in items if item.edges is not None]
    if not found:
        return Spread(np.empty(0, np.int64), np.empty(0), np.empty((bins, 0)))
    low, high = min(some.edges[0] for some in found), max(some.edges[-1] for some in found)
    edges = np.linspace(low, high, bins + 1)
    counts = np.stack([rebinned(some, edges) for some in found], axis=1)
    return Spread(np.array([item.step for item in items], np.int64), edges, counts)


def rebinned(some: Histogram, edges: Float64) -> Float64:
    """The counts of other bins, each bin's own count spread evenly over its width: the sum stays what it was."""
    below = np.concatenate([[0.0], np.cumsum(some.counts)])
    return np.diff(np.interp(edges, some.edges, below))


def _some(steps: Sequence[int], most: int) -> list[int]:
    if len(steps) <= most:
        return list(steps)
    places = np.linspace(0, len(steps) - 1, most).round().astype(int)
    return [steps[place] for place in places]
