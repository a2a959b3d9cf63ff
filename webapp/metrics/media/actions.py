"""Every write of media. Pictures go into the storage first; the rows that name them are one transaction.

Writers of one run wait for each other at the run's row: what a series holds is counted there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction

from webapp.metrics import keys
from webapp.metrics.errors import Invalid
from webapp.metrics.media import catalogue
from webapp.metrics.media.catalogue import Series
from webapp.metrics.media.items import NewItem
from webapp.metrics.models import MediaItem
from webapp.runs import blobs, news
from webapp.runs.actions.outside import EXTERNAL, OPEN
from webapp.runs.actions.transitions import announce as announce_run
from webapp.runs.errors import WrongState
from webapp.runs.models import Blob, Run

MOST_ITEMS = 1000  # in a series
MOST_SERIES = 200  # in a run
REPLACED = ["kind", "time", "caption", "blob", "format", "width", "height", "edges", "counts"]


def log_media(run: Run, items: Sequence[NewItem], *, key: str | None = None, digest: bytes = b"") -> int:
    """Adds items to an external run: all of them, or none. At a step that is there already, the new item counts.

    With a `key` once, however often it is sent; again is no error, and says the same number. Returns the number of
    items. Raises Invalid, naming the item, and WrongState.
    """
    kept = [blobs.store_stream([item.image]) if item.image is not None else None for item in items]
    with transaction.atomic():
        stored = None if key is None else keys.claim(run.pk, key, digest, len(items))
        if stored is not None:
            return stored
        _require_open(_lock(run.pk))
        write(run, items, kept)
    return len(items)


def add(run_id: int, items: Sequence[NewItem]) -> None:
    """Adds histograms to a run, in the caller's transaction. Raises Invalid, and then nothing of them is added."""
    with transaction.atomic():
        write(_lock(run_id), items, [None] * len(items))


def write(run: Run, items: Sequence[NewItem], kept: Sequence[Blob | None]) -> None:
    """Adds items, whose pictures are kept, in the caller's transaction, in which the run is locked. Raises Invalid."""
    known = catalogue.those_of(run.pk, (item.name for item in items))
    placed = _placed(known, items)
    _check_kinds(known, items)
    _check_series(run, known, items)
    _check_room(run, known, items, placed)
    rows = {
        (item.name, step): _row(run, item, step, blob) for item, step, blob in zip(items, placed, kept, strict=True)
    }  # of two for one place the later one counts
    MediaItem.objects.bulk_create(
        rows.values(), update_conflicts=True, unique_fields=["run", "name", "step"], update_fields=REPLACED
    )
    news.publish_on_commit(run.pk, "media", _told(rows.values()))
    _move_on(run, max(placed, default=0))


def rewind(run_id: int, step: int) -> None:
    """Drops every item of the run with a step above `step`, as if it had never been logged."""
    MediaItem.objects.filter(run_id=run_id, step__gt=step).delete()


def _lock(run_id: int) -> Run:
    return Run.objects.select_for_update(no_key=True).get(pk=run_id)


def _require_open(run: Run) -> None:
    if run.kind != EXTERNAL:
        raise WrongState(f"Run {run.pk} is a {run.kind} run: only runs of kind {EXTERNAL} take media from outside.")
    if run.status not in OPEN:
        raise WrongState(f"Run {run.pk} has ended ({run.status}): no media can be added.")


def _placed(known: Mapping[str, Series], items: Sequence[NewItem]) -> list[int]:
    """The step of each item; one that names none comes after the series' last."""
    last = {name: some.last_step for name, some in known.items()}
    steps = []
    for place, item in enumerate(items):
        step = last.get(item.name, -1) + 1 if item.step is None else item.step
        if step >= 2**63:
            raise _invalid(place, "step", "The series has reached the last step, 2^63 - 1: name an earlier one.")
        last[item.name] = max(step, last.get(item.name, -1))
        steps.append(step)
    return steps


def _check_kinds(known: Mapping[str, Series], items: Sequence[NewItem]) -> None:
    kinds = {name: some.kind for name, some in known.items()}
    for place, item in enumerate(items):
        kind = kinds.setdefault(item.name, item.kind)
        if kind != item.kind:
            raise _invalid(place, "name", f"{item.name!r} is a series of kind {kind}, and this is of kind {item.kind}.")


def _check_series(run: Run, known: Mapping[str, Series], items: Sequence[NewItem]) -> None:
    """The bound of a run."""
    if all(item.name in known for item in items):
        return
    names = set(catalogue.names(run.pk))
    for place, item in enumerate(items):
        names.add(item.name)
        if len(names) > MOST_SERIES:
            rule = f"a run has at most {MOST_SERIES} series of media"
            raise _invalid(place, "name", f"{item.name!r} would be one series too many: {rule}.")


def _check_room(run: Run, known: Mapping[str, Series], items: Sequence[NewItem], placed: Sequence[int]) -> None:
    """The bound of a series."""
    some = MediaItem.objects.filter(run=run, name__in={item.name for item in items}, step__in=set(placed))
    there = set(some.order_by().values_list("name", "step"))
    counts = Counter({name: series.count for name, series in known.items()})
    for place, (item, step) in enumerate(zip(items, placed, strict=True)):
        counts[item.name] += (item.name, step) not in there
        there.add((item.name, step))
        if counts[item.name] > MOST_ITEMS:
            rule = f"has {MOST_ITEMS:,} items already, the most that a series has"
            raise _invalid(place, "name", f"{item.name!r} {rule}: log it less often, or under another name.")


def _row(run: Run, item: NewItem, step: int, blob: Blob | None) -> MediaItem:
    at = time.time() if item.time is None else item.time
    row = MediaItem(run=run, name=item.name, kind=item.kind, step=step, time=at, caption=item.caption, blob=blob)
    if item.facts is not None:
        row.format, row.width, row.height = item.facts
    if item.histogram is not None:
        row.edges, row.counts = item.histogram.pack()
    return row


def _told(rows: Iterable[MediaItem]) -> dict[str, Any]:
    """What open pages hear: the steps that are new or new again, by series."""
    told: dict[str, Any] = {}
    for row in rows:
        told.setdefault(row.name, {"kind": row.kind, "step": []})["step"].append(row.step)
    return told


def _move_on(run: Run, step: int) -> None:
    """The run's step is the highest that it has logged."""
    if Run.objects.filter(pk=run.pk, step__lt=step).update(step=step):
        run.step = step
        announce_run(run)


def _invalid(place: int, field: str, message: str) -> Invalid:
    return Invalid([{"loc": ["items", place, field], "msg": message}])
