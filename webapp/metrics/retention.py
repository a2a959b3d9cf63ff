"""Old runs made small: fewer points of each series, and no media. What a chart of a whole series shows stays.

Of a series stay its first and last point, its lowest and highest, and of each stretch the lowest, the highest and a
NaN: what a chart of so many points draws. So `min`, `max`, `first` and `last` are what they were; `count` and `mean`
become those of the points that stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

import numpy as np
from django.db import transaction
from django.db.models import F, QuerySet, Sum, Value
from django.db.models.functions import Least, Now
from numpy.typing import NDArray

from webapp.accounts.models import Project
from webapp.metrics import ranges, store
from webapp.metrics.decimate import envelope, keep
from webapp.metrics.models import Chunk, MediaItem, Series
from webapp.metrics.points import Points, join, settle
from webapp.metrics.summary import Summary
from webapp.runs.models import Run
from webapp.runs.states import FINAL
from webapp.runs.tables import matching

FEWEST_POINTS = 100


class Thinned(NamedTuple):
    """Runs that were looked at, series that were made smaller with their points, and media that went: numbers."""

    runs: int
    series: int
    points_before: int
    points_after: int
    media: int


def old_runs(older_than: timedelta, project: Project | None = None, q: str = "") -> QuerySet[Run]:
    """Runs that ended so long ago, are not deleted, and match the query or the words. Raises BadQuery."""
    runs = Run.objects.filter(status__in=FINAL, ended_at__lt=Now() - older_than, deleted_at=None)
    return matching(runs if project is None else runs.filter(project=project), q)


def survey(runs: QuerySet[Run], points: int | None, *, media: bool) -> Thinned:
    """What `thin` would do at least; changes nothing."""
    found = _long(runs, points).aggregate(before=Sum("count"), after=Sum(Least(F("count"), Value(points or 0))))
    items = MediaItem.objects.filter(run__in=runs).count() if media else 0
    return Thinned(runs.count(), _long(runs, points).count(), found["before"] or 0, found["after"] or 0, items)


def thin(runs: QuerySet[Run], points: int | None, *, media: bool) -> Thinned:
    """Leaves at most `points` (100 or more) of each series, all of them with None, and with `media` no media.

    One series after the other, each in its own transaction: when it is broken off, the rest can be done later. Memory
    grows with the points that stay. Bytes of pictures go with the next collection of garbage.
    """
    wanted = list(runs.values_list("pk", flat=True))
    changed = [_thin(run_id, name, points or 0) for run_id, name in _long(runs, points).values_list("run_id", "name")]
    done = [(before, after) for before, after in changed if after < before]
    items = MediaItem.objects.filter(run__in=wanted).delete()[0] if media else 0
    return Thinned(len(wanted), len(done), sum(before for before, _ in done), sum(after for _, after in done), items)


def thinned(blocks: Iterable[Points], count: int, most: int) -> Points:
    """At most `most` of `count` points that come in blocks, in order of their steps."""
    parts = [_outline(block, max(1, round(most / 3 * len(block.steps) / count))) for block in blocks]
    found = join(parts)
    chosen = keep(found.steps.astype(float), found.values, most - 2)
    return found.take(np.union1d(chosen, _ends(found)))


def _outline(block: Points, runs: int) -> Points:
    return settle(join([envelope(block, runs), block.take(_ends(block))]))


def _ends(points: Points) -> NDArray[np.intp]:
    """Where the lowest and the highest finite value stand, which an infinity beside them would hide."""
    finite = np.flatnonzero(np.isfinite(points.values))
    values = points.values[finite]
    return finite[[values.argmin(), values.argmax()]] if len(finite) else finite


def _long(runs: QuerySet[Run], points: int | None) -> QuerySet[Series]:
    series = Series.objects.filter(run__in=runs.order_by().values("pk")).order_by("run_id", "name")
    return series.none() if points is None else series.filter(count__gt=points)


@transaction.atomic
def _thin(run_id: int, name: str, most: int) -> tuple[int, int]:
    """How many points there were, and how many there are."""
    row = store.lock(run_id, [name])[name]
    count = row.summary.count
    if count <= most:
        return count, count
    kept = thinned(ranges.blocks(row.id), count, most)
    Chunk.objects.filter(series=row.id).delete()
    Series.objects.filter(pk=row.id).update(
        **Summary()._asdict(), tail=[]
    )  # a series of no points, as a rewind leaves it
    store.append(run_id, {name: kept})
    return count, len(kept.steps)
