"""The columns of the runs table. A name that is none of these is a metric's: its column shows the last value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Expression, F, FloatField, OuterRef, Subquery
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Coalesce, Now

from webapp.metrics.models import Series

SPEED = "train/tokens_per_second"


@dataclass(frozen=True)
class Column:
    """`order` is what sorting by it sorts by; None when it can't be sorted by."""

    name: str
    label: str
    numeric: bool = False
    order: Expression | Subquery | F | None = None
    is_metric: bool = False


def _key(field: str, *path: str) -> KeyTextTransform:
    """The text at `path` inside a JSON field."""
    inner: object = field
    for key in path[:-1]:
        inner = KeyTransform(key, inner)
    return KeyTextTransform(path[-1], inner)


def _number(field: str, *path: str) -> Cast:
    return Cast(_key(field, *path), FloatField())


def last_value(metric: str) -> Subquery:
    """The last value of a metric of the run, as a subquery; NaN sorts after every number in Postgres."""
    return Subquery(Series.objects.filter(run=OuterRef("pk"), name=metric).values("last")[:1])


_trainable = _number("facts", "parameters", "trainable") / _number("facts", "parameters", "total")
_progress = Cast(F("step"), FloatField()) / F("steps")
_time = Coalesce(F("ended_at"), Now()) - F("started_at")

COLUMNS: Mapping[str, Column] = {
    column.name: column
    for column in (
        Column("status", "State", order=F("status")),
        Column("progress", "Progress", order=_progress),
        Column("kind", "Kind", order=F("kind")),
        Column("method", "Method", order=_key("spec", "method", "name")),
        Column("model", "Model"),
        Column("data", "Data"),
        Column("trainable", "Trainable", numeric=True, order=_trainable),
        Column("memory", "Peak memory", numeric=True, order=_number("result", "memory", "peak_bytes")),
        Column("speed", "tokens/s", numeric=True, order=last_value(SPEED)),
        Column("time", "Time", numeric=True, order=_time),
        Column("tags", "Tags"),
        Column("priority", "Priority", numeric=True, order=F("priority")),
        Column("queue", "Queue", order=F("queue")),
        Column("by", "By", order=F("created_by__username")),
        Column("created", "Created", numeric=True, order=F("id")),
    )
}
RUN = Column("name", "Run", order=F("name"))
BEFORE_METRICS = ("status", "progress", "method", "trainable")
AFTER_METRICS = ("memory", "speed", "time", "tags")
KEY_METRICS = ("eval/loss", "eval/perplexity", "eval/accuracy")
SHORT = {"eval/perplexity": "perplexity", "eval/accuracy": "accuracy"}


def column(name: str) -> Column:
    """A built-in column, or that of the metric with this name."""
    if name == RUN.name:
        return RUN
    if name in COLUMNS:
        return COLUMNS[name]
    return Column(name, SHORT.get(name, name), numeric=True, order=last_value(name), is_metric=True)


def usual(metrics: Iterable[str]) -> list[str]:
    """The columns of somebody who chose none; `metrics` are those that the project's runs have."""
    there = set(metrics)
    shown = [name for name in KEY_METRICS if name in there] or [KEY_METRICS[0]]
    return [*BEFORE_METRICS, *shown, *AFTER_METRICS]
