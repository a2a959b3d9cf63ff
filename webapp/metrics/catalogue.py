"""Which metrics a run has, a few at a time: a run may have ten thousand, and nobody looks at all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.db.models import Count, Func, QuerySet, TextField, Value
from django.db.models.functions import StrIndex, Substr

from webapp.metrics.models import Series

MOST_WORDS = 10


class Branch(NamedTuple):
    """The metrics whose names begin with `path` and a slash."""

    path: str
    metrics: int

    @property
    def label(self) -> str:
        return self.path.rpartition("/")[2]


class Some(NamedTuple):
    """Names in order, how many there are in all, and whether some come after these."""

    names: list[str]
    found: int
    has_more: bool


def count(run_id: int) -> int:
    return _series(run_id).count()


def branches(run_id: int, under: str = "") -> list[Branch]:
    """The next level of the tree below a path, or its first one, by name."""
    start = len(under) + 2 if under else 1
    rest = Substr("name", start)
    head = Func(rest, Value("/"), Value(1), function="split_part", output_field=TextField())
    below = _under(run_id, under).annotate(slash=StrIndex(rest, Value("/"))).filter(slash__gt=0)
    counted = below.annotate(head=head).values_list("head").annotate(n=Count("id")).order_by("head")
    return [Branch(f"{under}/{head}" if under else head, n) for head, n in counted]


def leaves(run_id: int, under: str = "", *, after: str = "", limit: int = 100) -> Some:
    """The metrics that stand directly below a path; without one, those whose names have no slash."""
    start = len(under) + 2 if under else 1
    direct = _under(run_id, under).annotate(slash=StrIndex(Substr("name", start), Value("/"))).filter(slash=0)
    return _some(direct, after, limit)


def below(run_id: int, under: str, *, limit: int = 100) -> Some:
    """The metrics below a path, however deep."""
    return _some(_under(run_id, under), "", limit)


def find(run_id: int, words: str = "", *, after: str = "", limit: int = 100) -> Some:
    """The metrics in whose names every word stands, in whatever case."""
    series = _series(run_id)
    for word in words.replace("\x00", "").split()[:MOST_WORDS]:
        series = series.filter(name__icontains=word)
    return _some(series, after, limit)


def known(run_id: int, names: Iterable[str]) -> list[str]:
    """Those of the names that the run has, in the order given."""
    wanted = [name for name in dict.fromkeys(names) if "\x00" not in name]
    there = set(_series(run_id).filter(name__in=wanted).values_list("name", flat=True))
    return [name for name in wanted if name in there]


def common(run_ids: Sequence[int], words: str = "", limit: int = 50) -> dict[str, int]:
    """Metrics by how many of some runs have them, the commonest first."""
    series = Series.objects.filter(run_id__in=run_ids, count__gt=0)
    for word in words.replace("\x00", "").split()[:MOST_WORDS]:
        series = series.filter(name__icontains=word)
    return dict(series.values_list("name").annotate(n=Count("id")).order_by("-n", "name")[:limit])


def _series(run_id: int) -> QuerySet[Series]:
    return Series.objects.filter(run_id=run_id, count__gt=0)


def _under(run_id: int, under: str) -> QuerySet[Series]:
    return _series(run_id).filter(name__startswith=f"{under}/") if under else _series(run_id)


def _some(series: QuerySet[Series], after: str, limit: int) -> Some:
    names = series.filter(name__gt=after).order_by("name").values_list("name", flat=True)[: limit + 1]
    shown = list(names)
    is_all = len(shown) <= limit and not after
    return Some(shown[:limit], len(shown) if is_all else series.count(), len(shown) > limit)
