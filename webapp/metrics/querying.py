"""`metrics."eval/loss".min` in queries over runs: the summary of a series, without reading a point."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from django.db import connection
from django.db.models import Exists, F, FilteredRelation, FloatField, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast, NullIf
from django.db.models.lookups import LessThan

from webapp.metrics.models import NAME_LENGTH, Series
from webapp.runs.language import types
from webapp.runs.language.columns import Column, Family
from webapp.runs.language.parsing import Fault
from webapp.runs.language.types import Expression
from webapp.runs.models import Run
from webapp.runs.paging import Order

LAST = "last"
NAN = Value(math.nan, FloatField())  # Postgres puts it above every number


def _aggregates(of: str = "") -> Mapping[str, Expression]:
    return {
        LAST: F(f"{of}last"),
        "min": F(f"{of}minimum"),
        "max": F(f"{of}maximum"),
        "mean": F(f"{of}total") / NullIf(F(f"{of}finite_count"), 0),  # as the index series_by_mean has it
        "first": F(f"{of}first"),
        "count": Cast(NullIf(F(f"{of}count"), 0), FloatField()),
    }


AGGREGATES, JOINED = _aggregates(), _aggregates("sorted_series__")


def column(parts: Sequence[str]) -> Column:
    """The last value, or the aggregate that the last part names. min, max and mean are of the finite values."""
    name, aggregate = split(parts)
    if not 1 <= len(name) <= NAME_LENGTH:
        raise Fault(0, f"a metric's name of 1 to {NAME_LENGTH} characters")
    return Column(types.FLOAT, AGGREGATES[aggregate], within=_of(name), order=order(name, aggregate))


def split(parts: Sequence[str]) -> tuple[str, str]:
    """The metric and the aggregate: ("loss", "min") is the least of loss, ("loss", "x") the last of "loss.x"."""
    if len(parts) > 1 and parts[-1].lower() in AGGREGATES:
        return ".".join(parts[:-1]), parts[-1].lower()
    return ".".join(parts), LAST


def order(name: str, aggregate: str = LAST) -> Order:
    """By an aggregate of a metric; runs in which it is NaN, or which have none, come last."""

    def having(runs: QuerySet[Run]) -> QuerySet[Run]:
        joined = runs.annotate(sorted_series=FilteredRelation("series", condition=Q(series__name=name)))
        keyed = joined.annotate(sort_key=JOINED[aggregate])
        return keyed.filter(LessThan(F("sort_key"), NAN))  # by the key's name: else the series are joined once more

    def lacking(runs: QuerySet[Run]) -> QuerySet[Run]:
        series = Series.objects.filter(LessThan(AGGREGATES[aggregate], NAN), run=OuterRef("pk"), name=name)
        return runs.exclude(Exists(series))

    return Order(having=having, lacking=lacking)


def _of(name: str) -> Callable[[Q], Q]:
    def within(condition: Q) -> Q:
        return Q(Exists(Series.objects.filter(condition, run=OuterRef("pk"), name=name)))

    return within


TELLING_RUNS, MOST_READ, MOST_FOUND = 300, 24_000, 60
FOUND = """
    WITH newest AS ({newest}),
    somewhere AS (SELECT name FROM (SELECT name FROM newest JOIN series ON run_id = newest.id LIMIT %s) AS few
                  WHERE strpos(lower(name), lower(%s)) > 0),
    begun AS (SELECT name FROM newest, LATERAL (SELECT name FROM series WHERE run_id = newest.id AND name >= %s
                                                ORDER BY name LIMIT %s) AS next WHERE starts_with(name, %s))
    SELECT name FROM (SELECT name FROM begun UNION SELECT name FROM somewhere) AS found
    ORDER BY starts_with(name, %s) DESC, name LIMIT %s"""


def names(runs: QuerySet[Run], typed: str = "") -> list[str]:
    """Up to 60 metrics of the newest 300 runs: those that begin with what is typed, then those that contain it.

    What begins with it is walked in the index of each run; what contains it is found among the first 24,000 names that
    these runs have. So of 12,000 names in each of 100,000 runs no more than that is read.
    """
    newest, values = runs.order_by("-id").values("id")[:TELLING_RUNS].query.sql_with_params()
    limits: list[int | str] = [MOST_READ, typed, typed, MOST_FOUND, typed, typed, MOST_FOUND]
    with connection.cursor() as cursor:
        cursor.execute(FOUND.format(newest=newest), [*values, *limits])
        return [name for (name,) in cursor.fetchall()]


def _paths(runs: QuerySet[Run], typed: str) -> list[tuple[str, ...]]:
    return [(name,) for name in names(runs, typed)]


FAMILY = Family("metrics", column, _paths, endings=tuple(AGGREGATES))
