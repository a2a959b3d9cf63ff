"""The table of a sweep's trials: which, in what order, what their rows say. A page costs a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np
from django.db.models import Case, F, FloatField, IntegerField, QuerySet, Value, When
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Coalesce, Now
from django.http import QueryDict

from webapp.pages.templatetags import hone as text
from webapp.pages.templatetags.run_values import plain
from webapp.sweeps.definition import Choices, Definition, sign, signs
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.states import BAD, CLOSED, OPEN, Role, TrialStatus
from webapp.sweeps.statistics import Interval, interval

PAGE_ROWS = 50
STATUSES = ["open", *TrialStatus.values, "bad"]
GROUPS: Mapping[str, Sequence[str]] = {"open": sorted(OPEN), "bad": sorted(BAD)}
PLAIN_SORTS = {"number": F("number"), "status": F("status"), "priority": F("priority")}
ENDED = Coalesce(F("ended_at"), Now()) - F("created_at")


@dataclass(frozen=True)
class Query:
    """What is asked of the table. It is its address. `sort`: "" by rank, else a column's name, `-` before it for
    descending; `value.0` is the first objective, `param.optimizer.lr` a knob."""

    sort: str = ""
    status: str = ""
    number: int = 0
    page: int = 1

    @classmethod
    def of(cls, data: QueryDict) -> Query:
        status, page, number = (data.get(name, "") for name in ("status", "page", "number"))
        return cls(
            sort=data.get("sort", "").replace("\x00", "")[:250],
            status=status if status in STATUSES else "",
            number=int(number) if number.isdecimal() and len(number) < 9 else 0,
            page=max(1, min(int(page), 1_000_000)) if page.isdecimal() and len(page) < 9 else 1,
        )

    def url_query(self, **changes: Any) -> str:
        asked = vars(replace(self, **{"page": 1, **changes}))
        asked["page"] = asked["page"] if asked["page"] > 1 else 0
        return f"?{urlencode({name: value for name, value in asked.items() if value})}"


class Head(NamedTuple):
    label: str
    url: str
    direction: str  # "ascending", "descending" or ""
    is_number: bool


class Seed(NamedTuple):
    """A run of a trial: one dot."""

    run: int
    seed: int
    role: str
    status: str


class Row(NamedTuple):
    """`rank` from 1, None without a full value; with several objectives only the Pareto front has one, 1."""

    trial: Trial
    rank: int | None
    params: list[tuple[str, bool]]  # text, and whether it is a number
    values: list[tuple[str, str]]  # the mean, and the bounds of its interval
    seeds: list[Seed]
    time: str

    @property
    def can_cancel(self) -> bool:
        return self.trial.status in OPEN

    @property
    def can_resume(self) -> bool:
        return self.trial.status in (TrialStatus.STOPPED, TrialStatus.CANCELLED) and bool(self.seeds)


@dataclass(frozen=True)
class Table:
    query: Query
    heads: Sequence[Head]
    rows: Sequence[Row]
    found: int
    page: int

    @property
    def next_url(self) -> str:
        return self.query.url_query(page=self.page + 1) if self.page * PAGE_ROWS < self.found else ""

    @property
    def previous_url(self) -> str:
        return self.query.url_query(page=self.page - 1) if self.page > 1 else ""

    @property
    def range_text(self) -> str:
        first = (self.page - 1) * PAGE_ROWS + 1
        return f"{first:,}-{min(first + PAGE_ROWS - 1, self.found):,} of {self.found:,}"


def table(sweep: Sweep, checked: Definition, query: Query) -> Table:
    """The page that is asked for."""
    trials = filtered(Trial.objects.filter(sweep=sweep), query)
    found = trials.count()
    page = min(query.page, max(1, -(-found // PAGE_ROWS)))
    first = (page - 1) * PAGE_ROWS
    shown = list(ordered(trials, query.sort, checked)[first : first + PAGE_ROWS])
    return Table(query, _heads(query, checked), _rows(sweep, shown, checked), found, page)


def filtered(trials: QuerySet[Trial], query: Query) -> QuerySet[Trial]:
    if query.number:
        return trials.filter(number=query.number)
    return trials.filter(status__in=GROUPS.get(query.status, [query.status])) if query.status else trials


def ordered(trials: QuerySet[Trial], sort: str, checked: Definition) -> QuerySet[Trial]:
    """By a column, empty values last. By rank: finished ones from the best, then those under way, then the others."""
    key = _key(sort.removeprefix("-"), checked) if sort else None
    if key is None:
        stage = Case(
            When(status=TrialStatus.SUCCEEDED, values__isnull=False, then=Value(0)),
            When(status__in=OPEN, then=Value(1)),
            default=Value(2),
            output_field=IntegerField(),
        )
        best_first = (_value(0) * sign(checked.objective[0])).asc(nulls_last=True)
        return trials.order_by(stage, best_first, "number")
    by = key.desc(nulls_last=True) if sort.startswith("-") else key.asc(nulls_last=True)
    return trials.order_by(by, "number")


def _key(name: str, checked: Definition) -> Any:
    """What sorting by a column sorts by; None for a column that there is not."""
    kind, _, detail = name.partition(".")
    if kind == "value" and detail.isdecimal() and int(detail) < len(checked.objective):
        return _value(int(detail))
    if kind == "param" and detail in checked.search.space:
        return KeyTransform(detail, "params")
    return ENDED if name == "time" else PLAIN_SORTS.get(name)


def _value(place: int) -> Combinable:
    return Cast(KeyTextTransform(place, "values"), FloatField())


def _heads(query: Query, checked: Definition) -> list[Head]:
    rank = Head(
        "Rank" if len(checked.objective) == 1 else "Front",
        query.url_query(sort=""),
        "" if query.sort else "ascending",
        True,
    )
    columns = [("Trial", "number", True), ("State", "status", False)]
    columns += [(path, f"param.{path}", _is_number(checked, path)) for path in checked.search.space]
    columns += [(one.metric, f"value.{place}", True) for place, one in enumerate(checked.objective)]
    return [
        rank,
        *(_head(query, *column) for column in columns),
        Head("Seeds", "", "", False),
        _head(query, "Time", "time", True),
    ]


def _head(query: Query, label: str, name: str, is_number: bool) -> Head:
    now = {name: "ascending", f"-{name}": "descending"}.get(query.sort, "")
    return Head(label, query.url_query(sort=f"-{name}" if now == "ascending" else name), now, is_number)


def _is_number(checked: Definition, path: str) -> bool:
    dimension = checked.search.space[path]
    return not isinstance(dimension, Choices) or not any(isinstance(value, str) for value in dimension.choices)


def _rows(sweep: Sweep, trials: Sequence[Trial], checked: Definition) -> list[Row]:
    ranks = ranks_of(sweep, checked)
    seeds, values = _seeds(trials)
    return [_row(trial, ranks.get(trial.pk), seeds[trial.pk], values[trial.pk], checked) for trial in trials]


def ranks_of(sweep: Sweep, checked: Definition) -> dict[int, int]:
    """{trial: rank from 1} of the finished ones; with several objectives 1 for each that no other one dominates."""
    done = Trial.objects.filter(sweep=sweep, status=TrialStatus.SUCCEEDED, values__isnull=False).order_by("number")
    rows = list(done.values_list("pk", "values"))
    if not rows:
        return {}
    values = np.array([found for _, found in rows], dtype=float) * np.array(signs(checked.objective))
    keys = [pk for pk, _ in rows]
    if values.shape[1] == 1:
        places = np.argsort(values[:, 0], kind="stable")
        return {keys[place]: rank for rank, place in enumerate(places, 1) if np.isfinite(values[place, 0])}
    return {keys[place]: 1 for place in front(values)}


def front(values: Any) -> list[int]:
    """The places of the rows of `values` (n, objectives), less is better, that no other row dominates."""
    left = np.flatnonzero(np.isfinite(values).all(axis=1))
    left = left[np.lexsort(values[left].T[::-1])]  # from here on nobody is dominated by one that comes later
    found: list[int] = []
    for place in left:
        others = values[found]
        is_dominated = ((others <= values[place]).all(axis=1) & (others < values[place]).any(axis=1)).any()
        if not is_dominated:
            found.append(int(place))
    return found


def _seeds(trials: Sequence[Trial]) -> tuple[dict[int, list[Seed]], dict[int, list[list[float]]]]:
    """Of each trial its runs, and the values of those of its tuning seeds that have any."""
    seeds: dict[int, list[Seed]] = defaultdict(list)
    values: dict[int, list[list[float]]] = defaultdict(list)
    found = Replicate.objects.filter(trial__in=trials, run__deleted_at=None).order_by("-role", "seed")
    for trial, run, seed, role, told, status in found.values_list(
        "trial_id", "run_id", "seed", "role", "values", "run__status"
    ):
        seeds[trial].append(Seed(run, seed, role, status))
        if told is not None and role == Role.TUNE:
            values[trial].append([float(value) for value in told])
    return seeds, values


def _row(trial: Trial, rank: int | None, seeds: list[Seed], values: list[list[float]], checked: Definition) -> Row:
    params = [_param(trial.params.get(path), path in trial.params) for path in checked.search.space]
    took = text.between(trial.created_at, trial.ended_at) if trial.status in CLOSED or seeds else None
    return Row(trial, rank, params, _values(trial, values, checked), seeds, text.duration(took))


def _param(value: Any, is_active: bool) -> tuple[str, bool]:
    if not is_active:
        return "", False
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (text.metric(value) if isinstance(value, float) else plain(value)), is_number


def _bounds(told: Interval) -> str:
    return f"{text.metric(told.low)} to {text.metric(told.high)}" if told.low is not None else ""


def _values(trial: Trial, seeds: list[list[float]], checked: Definition) -> list[tuple[str, str]]:
    means = trial.values or [None] * len(checked.objective)
    columns = list(zip(*seeds, strict=True)) if seeds else [()] * len(checked.objective)
    spreads = [_bounds(interval(column, checked.seeds.confidence)) if len(column) > 1 else "" for column in columns]
    return [
        (text.metric(None if mean is None else float(mean)), told) for mean, told in zip(means, spreads, strict=True)
    ]
