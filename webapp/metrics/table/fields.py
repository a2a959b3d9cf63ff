"""What a column of a table holds for each run: a value of the run itself, or an aggregate of one of its metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import F, FloatField, QuerySet
from django.db.models.fields import BigIntegerField
from django.db.models.functions import Cast, NullIf

from webapp.metrics.models import Series
from webapp.metrics.querying import LAST, TELLING_RUNS, split
from webapp.runs.language import types
from webapp.runs.language.columns import COLUMNS, FAMILIES, find
from webapp.runs.language.parsing import Fault, Parser
from webapp.runs.language.tree import Name
from webapp.runs.language.types import Expression, below, json_number, json_text
from webapp.runs.models import Run

KEY_METRICS = ("eval/loss", "eval/perplexity", "eval/accuracy")
SPEED = "train/tokens_per_second"
METRICS = "metrics"
MOST_USUAL = 3
FEW_RUNS, MOST_READ = 10, 3000


class Kind(StrEnum):
    """How the values of a column are kept in a file that has types."""

    TEXT = "text"
    WHOLE = "whole"
    NUMBER = "number"
    TIME = "time"
    TAGS = "tags"
    JSON = "json"  # a number or a text, by what the runs have


def as_is(value: Any) -> Any:
    return value


def plain(value: Any) -> Any:
    """What stands in a spec, as the query language has it: of an object its `name`, of a list its JSON."""
    found = value["name"] if isinstance(value, dict) and value.get("name") is not None else value
    is_plain = found is None or (isinstance(found, str | int | float) and not isinstance(found, bool))
    return found if is_plain else json.dumps(found)


def source(value: Any) -> str | None:
    """Where a model or data come from: a name, an architecture, `run 12`, `upload 3`, a path, a hub id."""
    told = value if isinstance(value, dict) else {}
    for key in ("name", "architecture", "path", "id", "run", "upload"):
        found = plain(told.get(key))
        if found not in (None, ""):
            return f"{key} {found}" if key in ("run", "upload") else str(found)
    return None


@dataclass(frozen=True)
class Field:
    """`expression` is over runs; a metric, with its aggregate, has none. `finish` makes the value of what was read."""

    name: str
    kind: Kind
    expression: Expression | None = None
    metric: tuple[str, str] | None = None
    finish: Callable[[Any], Any] = as_is


def _share(part: str, whole: str) -> Expression:
    facts = F("facts")
    share = json_number(below(facts, "parameters", part)) / NullIf(json_number(below(facts, "parameters", whole)), 0)
    return Cast(share, FloatField())


# The columns of the page that the query language has no name for, or another.
OF_PAGE: Mapping[str, Field] = {
    field.name: field
    for field in (
        Field("progress", Kind.NUMBER, Cast(F("step"), FloatField()) / NullIf(F("steps"), 0)),
        Field("method", Kind.TEXT, json_text(below(F("spec"), "method"))),
        Field("model", Kind.TEXT, below(F("spec"), "model"), finish=source),
        Field("data", Kind.TEXT, below(F("spec"), "data"), finish=source),
        Field("trainable", Kind.NUMBER, _share("trainable", "total")),
        Field("memory", Kind.WHOLE, Cast(json_number(below(F("result"), "memory", "peak_bytes")), BigIntegerField())),
        Field("speed", Kind.NUMBER, metric=(SPEED, LAST)),
        Field("time", Kind.NUMBER, COLUMNS["duration"].expression),
        Field("by", Kind.TEXT, COLUMNS["user"].expression),
    )
}
KINDS = {
    types.WHOLE: Kind.WHOLE, types.FLOAT: Kind.NUMBER, types.DURATION: Kind.NUMBER, types.TIME: Kind.TIME,
    types.TAGS: Kind.TAGS, types.JSON: Kind.JSON,
}  # fmt: skip


def of_metric(name: str, metric: str, aggregate: str = LAST) -> Field:
    return Field(name, Kind.NUMBER, metric=(metric, aggregate))


def field(name: str) -> Field:
    """A column of the page or of the query language; any other name is that of a metric, and means its last value."""
    if name in OF_PAGE:
        return OF_PAGE[name]
    path = path_of(name)
    if path is None:
        return of_metric(name, name)
    head, *below_it = path.parts
    if head.lower() == METRICS and below_it:
        return of_metric(name, *split(below_it))
    try:
        column = find(path)
    except Fault:
        return of_metric(name, name)
    kind = KINDS.get(column.type, Kind.TEXT)
    return Field(name, kind, column.expression, finish=plain if kind is Kind.JSON else as_is)


def fields(asked: Iterable[str]) -> list[Field]:
    return [field(name) for name in dict.fromkeys(asked)]


def usual(runs: QuerySet[Run]) -> list[str]:
    """Those told where nobody says which: the key ones of the newest runs, else three, losses and accuracies first."""
    newest = runs.order_by("-id").values("pk")
    found = set(
        Series.objects.filter(run__in=newest[:TELLING_RUNS], name__in=KEY_METRICS).values_list("name", flat=True)
    )
    if found:
        return [name for name in KEY_METRICS if name in found]
    some = Series.objects.filter(run__in=newest[:FEW_RUNS]).values_list("name", flat=True)[:MOST_READ]
    return sorted(set(some), key=lambda name: (not _tells_much(name), name))[:MOST_USUAL]


def _tells_much(name: str) -> bool:
    return any(word in name.rpartition("/")[2].lower() for word in ("loss", "acc"))


def fault_of(name: str) -> str:
    """What is wrong with a name that begins as a path of the query language (`params.`) and is none; else empty."""
    head, dot, _ = name.partition(".")
    if not dot or head.lower() not in FAMILIES:
        return ""
    try:
        find(Parser(name).alone())
    except Fault as fault:
        return f"expected {fault.expected} at character {fault.at + 1}"
    return ""


def path_of(name: str) -> Name | None:
    """The name as a path of the query language, None where it is none."""
    try:
        return Parser(name).alone()
    except Fault:
        return None
