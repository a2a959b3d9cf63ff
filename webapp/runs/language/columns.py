"""The columns of the language. Those of a run's metrics are brought by the layer above: `register` takes a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import F, FloatField, Q, QuerySet
from django.db.models.functions import Coalesce, Extract, Now

from webapp.runs.language import documents, params, tree, types
from webapp.runs.language.parsing import Fault
from webapp.runs.language.types import Expression, Type
from webapp.runs.models import Run
from webapp.runs.paging import Order
from webapp.runs.states import ACTIVE, FINAL, Status

GROUPS = {"active": ACTIVE, "final": FINAL, "ended": FINAL, "waiting": frozenset({Status.QUEUED, Status.PAUSED})}
MOST_OFFERED = 1000  # newest runs whose values are offered


@dataclass(frozen=True)
class Column:
    """What a name stands for. `within` wraps a condition on `expression` that holds elsewhere (of a series of the run).

    `values(runs)` are some that runs of a query have, for completion. `order`: how runs are sorted by it; by its
    expression when it is None. `quick(operator, value)` is the comparison as a condition that is never unknown and that
    the database estimates from what it knows of the documents; None where there is no such one.
    """

    type: Type
    expression: Expression
    within: Callable[[Q], Q] = lambda condition: condition
    values: Callable[[QuerySet[Run]], Sequence[str]] = lambda runs: ()
    order: Order | None = None
    quick: Callable[[str, tree.Value], Q | None] = lambda operator, value: None


class Family(NamedTuple):
    """Columns below one name. `column(parts)` raises Fault at 0 for a path that can't be.

    `names(runs, typed)` and `endings` are what completion offers: paths, among them those that begin with what is typed
    and some of those that contain it, and words that may end one.
    """

    name: str
    column: Callable[[Sequence[str]], Column]
    names: Callable[[QuerySet[Run], str], Sequence[tuple[str, ...]]]
    endings: Sequence[str] = ()


class Known(NamedTuple):
    is_family: bool


def _statuses(runs: QuerySet[Run]) -> Sequence[str]:
    return [*Status.values, *GROUPS]


def _distinct(field: str) -> Callable[[QuerySet[Run]], Sequence[str]]:
    def values(runs: QuerySet[Run]) -> Sequence[str]:
        newest = runs.order_by("-id").values_list(field, flat=True)[:MOST_OFFERED]
        return sorted({str(value) for value in newest if value})

    return values


def _tags(runs: QuerySet[Run]) -> Sequence[str]:
    newest = runs.order_by("-id").values_list("tags", flat=True)[:MOST_OFFERED]
    return sorted({tag for tags in newest for tag in tags})


def _compare_status(expression: Expression, operator: str, value: tree.Value) -> Q:
    """A state, or a group of them."""
    if operator in types.PATTERN or not isinstance(value, tree.Text):
        return types.compare_text(expression, operator, value)
    known = [*Status.values, *GROUPS]
    if value.value not in known:
        raise Fault(value.at, f"one of {', '.join(known)}")
    wanted = GROUPS.get(value.value, {value.value})
    found = Q()
    for status in sorted(wanted):
        found |= types.compare_text(expression, "=", tree.Text(str(status)))
    return found


def _by_user() -> Order:
    """The runs of each person stand together in an index, so that a page of them is no sort of all."""
    having = Q(created_by__username__isnull=False)  # in these words Django joins those alone that have one
    return Order(
        having=lambda runs: runs.filter(having).annotate(sort_key=F("created_by__username")),
        lacking=lambda runs: runs.filter(created_by=None),
    )


def _duration() -> Expression:
    """Of an unfinished run: so far."""
    spent = Coalesce(F("ended_at"), Now()) - F("started_at")
    return Extract(spent, "epoch", output_field=FloatField())


STATUS = Type("a state", types.TEXT.operators, _compare_status)
COLUMNS: Mapping[str, Column] = {
    "id": Column(types.WHOLE, F("id")),
    "name": Column(types.TEXT, F("name")),
    "kind": Column(types.TEXT, F("kind"), values=_distinct("kind")),
    "status": Column(STATUS, F("status"), values=_statuses),
    "tags": Column(types.TAGS, F("tags"), values=_tags),
    "user": Column(types.TEXT, F("created_by__username"), values=_distinct("created_by__username"), order=_by_user()),
    "project": Column(types.TEXT, F("project__slug"), values=_distinct("project__slug")),
    "queue": Column(types.TEXT, F("queue_id"), values=_distinct("queue_id")),
    "phase": Column(types.TEXT, F("phase"), values=_distinct("phase")),
    "error": Column(types.TEXT, F("error_type"), values=_distinct("error_type")),
    "priority": Column(types.WHOLE, F("priority")),
    "gpus": Column(types.WHOLE, F("gpus")),
    "step": Column(types.WHOLE, F("step")),
    "steps": Column(types.WHOLE, F("steps")),
    "created": Column(types.TIME, F("created_at")),
    "queued": Column(types.TIME, F("queued_at")),
    "started": Column(types.TIME, F("started_at")),
    "ended": Column(types.TIME, F("ended_at")),
    "duration": Column(types.DURATION, _duration()),
}
FAMILIES: dict[str, Family] = {}


def register(family: Family) -> None:
    FAMILIES[family.name] = family


def known(name: str) -> Known | None:
    """What a first word is: a family, a column, or nothing of the language."""
    if name in FAMILIES:
        return Known(True)
    return Known(False) if name in COLUMNS else None


def find(name: tree.Name) -> Column:
    """Raises Fault at the name."""
    head, *path = name.parts
    if not path and head.lower() in COLUMNS:
        return COLUMNS[head.lower()]
    if path and head.lower() in FAMILIES:
        return _below(FAMILIES[head.lower()], path, name.at)
    if head.lower() in FAMILIES:
        raise Fault(name.at + len(head), f". and a name after {head}")
    if head.lower() in COLUMNS:
        raise Fault(name.at + len(head), f"no dot after {head}")
    families = ", ".join(f"{family}.<name>" for family in FAMILIES)
    raise Fault(name.at, f"a column ({', '.join(COLUMNS)}, {families}; words in a name: name like '%word%')")


def _below(family: Family, path: Sequence[str], at: int) -> Column:
    try:
        return family.column(path)
    except Fault as fault:
        raise Fault(at + len(family.name) + 1, fault.expected) from None


MOST_PARTS, LONGEST_PART, TELLING = 12, 200, 200


def _documents(field: str) -> Callable[[Sequence[str]], Column]:
    """The columns below a JSON field: what lies in it at a path."""

    def column(parts: Sequence[str]) -> Column:
        if len(parts) > MOST_PARTS:
            raise Fault(0, f"a path of at most {MOST_PARTS} names")
        found = types.below(F(field), *parts)
        order = (params.order(parts) if field == "spec" else None) or Order(types.json_key(found), is_json=True)
        quick = documents.quick(field, parts)
        return Column(types.JSON, found, values=_values_at(field, parts), order=order, quick=quick)

    return column


def _values_at(field: str, parts: Sequence[str]) -> Callable[[QuerySet[Run]], Sequence[str]]:
    def values(runs: QuerySet[Run]) -> Sequence[str]:
        text = types.json_text(types.below(F(field), *parts))
        newest = runs.order_by("-id").annotate(found=text).values_list("found", flat=True)[:MOST_OFFERED]
        return sorted({value for value in newest if value is not None and len(value) <= LONGEST_PART})

    return values


def _paths(field: str) -> Callable[[QuerySet[Run], str], Sequence[tuple[str, ...]]]:
    """The paths to plain values in the specs of the newest runs; `method` stands for `method.name` too."""

    def paths(runs: QuerySet[Run], typed: str) -> Sequence[tuple[str, ...]]:
        found: set[tuple[str, ...]] = set()
        for document in runs.order_by("-id").values_list(field, flat=True)[:TELLING]:
            found |= set(_leaves(document, ()))
        return sorted(found)

    return paths


def _leaves(value: object, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    if not isinstance(value, dict):
        return [path] if path and not isinstance(value, list) else []
    own = [path] if path and isinstance(value.get("name"), str) else []
    return own + [leaf for key, inner in value.items() for leaf in _leaves(inner, (*path, str(key)))]


register(Family("params", _documents("spec"), _paths("spec")))
register(Family("facts", _documents("facts"), _paths("facts")))
