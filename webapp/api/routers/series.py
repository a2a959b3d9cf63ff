"""One metric over many runs: curve beside curve, or one mean with its band per group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router
from pydantic import Field

from webapp.api.auth import user_of
from webapp.api.errors import Invalid
from webapp.api.routers.metrics import Finite, Points, series_fields
from webapp.api.routers.runs import RunFilter, matching
from webapp.api.schemas.metrics import Axis, Band, BandSeries, RunSeries, SeriesList
from webapp.metrics import queries
from webapp.metrics.bands import between, curve, thinned
from webapp.metrics.models import Series
from webapp.runs.models import Run

router = Router()
MOST_BAND_POINTS = 5_000_000  # 120 MB of points that a band may read
MostRuns = Annotated[int, Field(ge=1, le=200)]
GROUPS = ("name", "kind", "status", "project", "queue", "tag")


@router.get("", response=SeriesList)
def compare_series(
    request: HttpRequest,
    filters: Query[RunFilter],
    name: str,
    points: Points = 500,
    start: Annotated[Finite | None, Query(alias="from")] = None,
    stop: Annotated[Finite | None, Query(alias="to")] = None,
    x: Axis = "step",
    group: str = "",
    band: Band | None = None,
    limit: MostRuns = 50,
) -> SeriesList:
    """The metric in the newest matching runs that have it.

    With `band` the runs are put together by `group` (name, kind, status, project, queue, tag, or spec.<path> such as
    spec.optimizer.lr; everything is one group when it is empty): the mean at the steps that all runs of the group have,
    with plus and minus the standard deviation, the extremes, or the 95 % confidence interval of the mean.
    """
    user_of(request)
    having = Series.objects.filter(name=name, count__gt=0).values("run_id")
    runs = list(matching(request, filters).filter(pk__in=having).select_related("project").order_by("-pk")[:limit])
    if band is None:
        windows = [(run, queries.window(run.pk, name, x=x, start=start, stop=stop, points=points)) for run in runs]
        return SeriesList(
            items=[RunSeries(run=run.pk, run_name=run.name, **series_fields(found)) for run, found in windows]
        )
    _refuse_costly(runs, name, x)
    groups = grouped(runs, group)
    return SeriesList(
        items=[_band(value, members, name, band, points, start, stop) for value, members in groups.items()]
    )


def grouped(runs: Sequence[Run], by: str) -> dict[str, list[Run]]:
    """Runs by the value they share; a run of several tags is in several groups. Raises Invalid for an unknown `by`."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        for value in _values(run, by):
            groups.setdefault(value, []).append(run)
    return dict(sorted(groups.items()))


def _values(run: Run, by: str) -> list[str]:
    if not by:
        return [""]
    if by == "tag":
        return list(run.tags) or ["(no tag)"]
    if by in GROUPS:
        return [str({"project": run.project.slug, "queue": run.queue_id}.get(by) or getattr(run, by))]
    head, _, path = by.partition(".")
    if head != "spec" or not path:
        msg = f"group must be one of {', '.join(GROUPS)} or spec.<path>, not {by[:80]!r}."
        raise Invalid([{"loc": ["group"], "msg": msg}])
    value: Any = run.spec
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return ["(none)" if value is None else str(value)]


def _refuse_costly(runs: Sequence[Run], name: str, x: Axis) -> None:
    if x != "step":
        raise Invalid([{"loc": ["x"], "msg": f"A band is taken at common steps, so x must be step, not {x}."}])
    total = sum(found[name].count for found in queries.summaries([run.pk for run in runs], [name]).values())
    if total > MOST_BAND_POINTS:
        msg = (
            f"A band reads every point: {total:,} are more than {MOST_BAND_POINTS:,}; narrow the query or lower limit."
        )
        raise Invalid([{"loc": ["band"], "msg": msg}])


def _band(
    value: str, runs: list[Run], name: str, band: Band, points: int, start: float | None, stop: float | None
) -> BandSeries:
    full = between(curve([queries.raw(run.pk, name)[:2] for run in runs], band), start, stop)
    shown = thinned(full, points)
    return BandSeries(
        name=name, x_axis="step", x=shown.steps.tolist(), y=shown.mean.tolist(), lower=shown.lower.tolist(),
        upper=shown.upper.tolist(), count=len(full.steps), decimated=len(shown.steps) < len(full.steps), group=value,
        runs=[run.pk for run in runs],
    )  # fmt: skip
