"""The x of the charts of some runs. A run that hasn't what an axis needs has none."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Min

from webapp.metrics import ranges
from webapp.metrics.axes import AXES, FLOPS, METRIC, TOKENS, Axis, AxisName, Spent, Steps, Times, Tokens, Values
from webapp.metrics.errors import Invalid
from webapp.metrics.models import Series
from webapp.metrics.points import Points
from webapp.runs.models import Run


def axes_of(run_ids: Sequence[int], x: AxisName) -> dict[int, Axis]:
    """By run, of those that have it. At most three queries. Raises Invalid for an unknown axis.

    "relative" counts from the run's start, or its first point when it was never started. "flops" are what the run has
    logged as `train/flops`, else its steps times what its facts say that one takes.
    """
    if x == "step":
        return dict.fromkeys(run_ids, Steps())
    if x == "time":
        return dict.fromkeys(run_ids, Times())
    if x == "relative":
        return {run_id: Times(origin) for run_id, origin in _origins(run_ids).items()}
    if x == "tokens":
        return {**_counted(run_ids, TOKENS)}
    if x == "flops":
        return {**_spent(run_ids), **_counted(run_ids, FLOPS)}
    if x.startswith(METRIC):
        return {run_id: Values.of(points) for run_id, points in raw_of(run_ids, x.removeprefix(METRIC)).items()}
    message = f"x must be one of {', '.join(AXES)} or {METRIC}<name>, not {x[:80]!r}."
    raise Invalid([{"loc": ["x"], "msg": message}])


def axis_of(run_id: int, x: AxisName) -> Axis:
    """Of one run. Raises Invalid where it has none."""
    found = axes_of([run_id], x).get(run_id)
    if found is None:
        raise Invalid([{"loc": ["x"], "msg": f"Run {run_id} {_missing(x)}"}])
    return found


def raw_of(run_ids: Sequence[int], name: str) -> dict[int, Points]:
    """Every point of one metric of many runs; runs without it are left out. Two queries."""
    series = Series.objects.filter(run_id__in=run_ids, name=name, count__gt=0).values_list("id", "run_id")
    runs = dict(series)
    return {runs[series_id]: points for series_id, points in ranges.whole(list(runs)).items()}


def _missing(x: AxisName) -> str:
    if x == "flops":
        return f"does not tell the FLOPs of a step, nor logs {FLOPS!r}: choose another x."
    name = TOKENS if x == "tokens" else x.removeprefix(METRIC)
    what = "tokens" if x == "tokens" else "it"
    return f"has no points of {name!r}: {what} can't be x here; choose step or time."


def _origins(run_ids: Sequence[int]) -> dict[int, float]:
    started = dict(Run.objects.filter(id__in=run_ids).values_list("id", "started_at"))
    never = [run_id for run_id, at in started.items() if at is None]
    series = Series.objects.filter(run_id__in=never, count__gt=0) if never else Series.objects.none()
    first = dict(series.values_list("run_id").annotate(Min("first_time")))
    return {run_id: at.timestamp() if at else first.get(run_id, 0.0) for run_id, at in started.items()}


def _counted(run_ids: Sequence[int], name: str) -> dict[int, Tokens]:
    axes = {run_id: Tokens.of(points) for run_id, points in raw_of(run_ids, name).items()}
    return {run_id: axis for run_id, axis in axes.items() if len(axis.steps)}


def _spent(run_ids: Sequence[int]) -> dict[int, Spent]:
    told = Run.objects.filter(id__in=run_ids).values_list("id", "facts__flops__per_step")
    return {run_id: Spent(float(each)) for run_id, each in told if isinstance(each, int | float) and each > 0}
