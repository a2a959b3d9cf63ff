"""The columns of the runs table. A name that is none of these is a metric's: its column shows the last value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import F, FloatField, Func, TextField, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Coalesce, Extract, Now, NullIf

from webapp.metrics.querying import LAST, split
from webapp.metrics.querying import order as metric_order
from webapp.metrics.table.fields import SPEED
from webapp.runs.language import BadQuery, order_of
from webapp.runs.language.parsing import Fault, Parser
from webapp.runs.paging import Order


@dataclass(frozen=True)
class Column:
    """`order` is what sorting by it sorts by; None when it can't be sorted by."""

    name: str
    label: str
    numeric: bool = False
    order: Order | None = None
    metric: tuple[str, str] | None = None  # its name and the aggregate
    param: tuple[str, ...] = ()  # a path of `field`
    field: str = ""  # the JSON that its cells are read from: spec, facts or result

    @property
    def is_metric(self) -> bool:
        return self.metric is not None


def _key(field: str, *path: str) -> KeyTextTransform:
    """The text at `path` inside a JSON field."""
    inner: object = field
    for key in path[:-1]:
        inner = KeyTransform(key, inner)
    return KeyTextTransform(path[-1], inner)


def _number(field: str, *path: str) -> Cast:
    return Cast(_key(field, *path), FloatField())


def _source(field: str) -> Coalesce:
    """What describe.model_of and data_of show."""
    return Coalesce(*(_key("spec", field, key) for key in ("name", "architecture", "run", "path", "id", "upload")))


_tags = NullIf(
    Func(F("tags"), Value(" "), function="array_to_string", output_field=TextField()), Value("", TextField())
)
_trainable = _number("facts", "parameters", "trainable") / _number("facts", "parameters", "total")
_progress = Cast(F("step"), FloatField()) / F("steps")
_time = Extract(Coalesce(F("ended_at"), Now()) - F("started_at"), "epoch", output_field=FloatField())

COLUMNS: Mapping[str, Column] = {
    column.name: column
    for column in (
        Column("status", "State", order=Order(F("status"))),
        Column("progress", "Progress", order=Order(_progress)),
        Column("kind", "Kind", order=Order(F("kind"))),
        Column("method", "Method", order=order_of("params.method.name"), field="spec"),
        Column("model", "Model", order=Order(_source("model")), field="spec"),
        Column("data", "Data", order=Order(_source("data")), field="spec"),
        Column("trainable", "Trainable", numeric=True, order=Order(_trainable), field="facts"),
        Column("memory", "Peak memory", numeric=True, order=Order(_number("result", "memory", "peak_bytes")),
               field="result"),
        Column("speed", "tokens/s", numeric=True, order=metric_order(SPEED)),
        Column("time", "Time", numeric=True, order=Order(_time)),
        Column("tags", "Tags", order=Order(_tags)),
        Column("priority", "Priority", numeric=True, order=Order(F("priority"))),
        Column("queue", "Queue", order=Order(F("queue"))),
        Column("by", "By", order=order_of("user")),
        Column("created", "Created", numeric=True, order=Order(F("id"))),
    )
}  # fmt: skip
ALIASES = {"duration": "time", "user": "by"}  # as the query language calls them
FIELDS = {"params": "spec", "facts": "facts"}
RUN = Column("name", "Run", order=Order(F("name")))
SHORT = {"eval/perplexity": "perplexity", "eval/accuracy": "accuracy"}


def column(name: str) -> Column:
    """A built-in column, or that of the metric with this name."""
    if name == RUN.name:
        return RUN
    name = ALIASES.get(name, name)
    if name in COLUMNS:
        return COLUMNS[name]
    return _family(name) or Column(
        name, SHORT.get(name, name), numeric=True, order=metric_order(name), metric=(name, LAST)
    )


def is_family(name: str) -> bool:
    """Whether it is written as in the query language: metrics.loss.min, params.optimizer.lr, facts.model.layers."""
    return name.startswith(("metrics.", *(f"{family}." for family in FIELDS)))


def _family(name: str) -> Column | None:
    """A column of the query language: an aggregate of a metric, a parameter of the spec or a fact."""
    if not is_family(name):
        return None
    try:
        head, *path = Parser(name).alone().parts
        order = order_of(name)
    except (Fault, BadQuery):
        return None
    if head in FIELDS:
        return Column(name, ".".join(path), order=order, param=tuple(path), field=FIELDS[head])
    metric, aggregate = split(path)
    label = SHORT.get(metric, metric)
    label = label if aggregate == LAST else f"{label} {aggregate}"
    return Column(name, label, numeric=True, order=order, metric=(metric, aggregate))
