"""`metrics."eval/loss".min` in queries over runs: the summary of a series, without reading a point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import NullIf

from webapp.metrics.models import NAME_LENGTH, Series
from webapp.runs.language import types
from webapp.runs.language.columns import Column, Family
from webapp.runs.language.parsing import Fault
from webapp.runs.language.types import Expression
from webapp.runs.models import Run

LAST = "last"
AGGREGATES: Mapping[str, Expression] = {
    LAST: F("last"),
    "min": F("minimum"),
    "max": F("maximum"),
    "mean": F("total") / NullIf(F("finite_count"), 0),
    "first": F("first"),
    "count": F("count"),
}


def column(parts: Sequence[str]) -> Column:
    """The last value, or the aggregate that the last part names. min, max and mean are of the finite values."""
    name, aggregate = split(parts)
    if not 1 <= len(name) <= NAME_LENGTH:
        raise Fault(0, f"a metric's name of 1 to {NAME_LENGTH} characters")
    return Column(types.FLOAT, AGGREGATES[aggregate], within=_of(name))


def split(parts: Sequence[str]) -> tuple[str, str]:
    """The metric and the aggregate: ("loss", "min") is the least of loss, ("loss", "x") the last of "loss.x"."""
    if len(parts) > 1 and parts[-1].lower() in AGGREGATES:
        return ".".join(parts[:-1]), parts[-1].lower()
    return ".".join(parts), LAST


def _of(name: str) -> Callable[[Q], Q]:
    def within(condition: Q) -> Q:
        return Q(Exists(Series.objects.filter(condition, run=OuterRef("pk"), name=name, count__gt=0)))

    return within


def _names(runs: QuerySet[Run]) -> list[tuple[str, ...]]:
    names = Series.objects.filter(run__in=runs.order_by().values("pk"), count__gt=0).values_list("name", flat=True)
    return [(name,) for name in sorted(names.distinct())]


FAMILY = Family("metrics", column, _names, endings=tuple(AGGREGATES))
