"""Tables of sweeps and trials: filtered, sorted, read page by page, each page at a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

from django.db.models import F, FloatField, Func, Model, Q, QuerySet, TextField, Value
from django.db.models.expressions import BaseExpression
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, User
from webapp.runs import tables as runs
from webapp.sweeps import queries
from webapp.sweeps.definition import Definition, sign
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.queries import Best
from webapp.sweeps.states import LIVE, OVER, Role, SweepStatus, TrialStatus
from webapp.sweeps.statistics import Interval, interval

M = TypeVar("M", bound=Model)
GROUPS = {"live": LIVE, "over": OVER}
TRIAL_SORTS = ("number", "value")
MOST = runs.MOST


class Page(NamedTuple, Generic[M]):
    """Some rows and the cursor of the next page, None on the last."""

    items: Sequence[M]
    next: str | None


def table(user: User, project: Project | None = None, *, q: str = "", status: str = "") -> QuerySet[Sweep]:
    """The sweeps that match, unsorted. Raises Invalid for an unknown status.

    `q`: every word must be in the name or the tags, or be the id. `status`: statuses and the groups live and over,
    separated by commas.
    """
    found = queries.visible(user)
    if project is not None:
        found = found.filter(project=project)
    if status:
        found = found.filter(status__in=_statuses(status))
    words = q.replace("\x00", "").split()[:10]
    if words:
        tags_text = Func(F("tags"), Value(" "), function="array_to_string", output_field=TextField())
        found = found.alias(tags_text=tags_text)
    for word in words:
        found = found.filter(_matches(word))
    return found


def page(
    rows: QuerySet[M], *, sort: str = "-id", cursor: str = "", limit: int = 50, expression: BaseExpression | F
) -> Page[M]:
    """Like runs.tables.page, which looks at nothing of a run once it is given the expression to sort by."""
    found = runs.page(cast(Any, rows), sort=sort, cursor=cursor, limit=limit, expression=expression)
    return Page(cast(Sequence[M], found.items), found.next)


def trial_sort(sort: str) -> BaseExpression | F:
    """By `number`, or by `value`: that of the first objective. Raises Invalid for another word."""
    name = sort.removeprefix("-")
    if name not in TRIAL_SORTS:
        known = ", ".join(TRIAL_SORTS)
        raise Invalid.field("sort", f"sort must be one of {known}, with - for descending, not {sort!r}.")
    return FIRST_VALUE if name == "value" else F(name)


FIRST_VALUE = Cast(KeyTextTransform(0, "values"), FloatField())


def best_of(sweeps: Iterable[Sweep]) -> dict[int, Best | None]:
    """What queries.best says of each, for all of them in four queries."""
    wanted = {sweep.pk: queries.definition(sweep) for sweep in sweeps}
    winners = [*_winners(wanted, 1.0), *_winners(wanted, -1.0)]
    told: dict[tuple[int, str], list[list[float]]] = defaultdict(list)
    seeds = Replicate.objects.filter(trial__in=winners, values__isnull=False).order_by("role", "seed")
    for trial_id, role, values in seeds.values_list("trial_id", "role", "values"):
        told[trial_id, role].append(list(values or ()))
    found: dict[int, Best | None] = dict.fromkeys(wanted)
    for trial in winners:
        checked = wanted[trial.sweep_id]
        tune, test = (_intervals(told[trial.pk, role], checked) for role in (Role.TUNE, Role.TEST))
        unknown: list[Interval | None] = [None] * len(checked.objective)
        found[trial.sweep_id] = Best(
            trial.number, trial.params, list(trial.values or ()), tune or unknown, test or None
        )
    return found


def _winners(wanted: dict[int, Definition], turned: float) -> list[Trial]:
    """The best trial of each sweep whose first objective has this sign."""
    sweeps = [pk for pk, checked in wanted.items() if sign(checked.objective[0]) == turned]
    finished = Trial.objects.filter(sweep__in=sweeps, status=TrialStatus.SUCCEEDED, values__isnull=False)
    return list(finished.order_by("sweep", FIRST_VALUE * turned, "number").distinct("sweep"))


def _intervals(seeds: list[list[float]], checked: Definition) -> list[Interval | None]:
    return [interval(column, checked.seeds.confidence) for column in zip(*seeds, strict=True)]


def _statuses(text: str) -> set[str]:
    chosen: set[str] = set()
    for word in filter(None, (part.strip() for part in text.replace("\x00", "").split(","))):
        if word not in GROUPS and word not in SweepStatus.values:
            known = ", ".join([*SweepStatus.values, *GROUPS])
            raise Invalid.field("status", f"status must be one of {known}, not {word!r}.")
        chosen |= GROUPS.get(word, {SweepStatus(word)} if word in SweepStatus.values else set())
    return chosen


def _matches(word: str) -> Q:
    matches = Q(name__icontains=word) | Q(tags_text__icontains=word)
    number = word.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 19:
        matches |= Q(id=int(number))
    return matches
