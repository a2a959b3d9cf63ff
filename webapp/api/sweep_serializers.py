"""Sweeps as the API shows them: a page of them costs a fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest
from django.urls import reverse

from webapp.api.schemas.searches import EntryOutput
from webapp.api.schemas.sweeps import (
    BestOutput,
    ForecastOutput,
    IntervalOutput,
    SpentOutput,
    SweepOutput,
    SweepSummary,
)
from webapp.sweeps import queries, winners
from webapp.sweeps.budget import Spent, forecast, spent_of
from webapp.sweeps.models import Sweep
from webapp.sweeps.registry import Entry
from webapp.sweeps.states import SweepStatus
from webapp.sweeps.statistics import Interval
from webapp.sweeps.winners import Best


def sweep_output(request: HttpRequest, sweep: Sweep) -> SweepOutput:
    """The sweep as it is in the database now."""
    fresh = Sweep.objects.select_related("project", "created_by").get(pk=sweep.pk)
    checked = queries.definition(fresh)
    summary = sweep_summaries(request, [fresh])[0]
    return SweepOutput(
        **{name: getattr(summary, name) for name in SweepSummary.model_fields},
        forecast=ForecastOutput(**forecast(fresh)._asdict()),
        spec=checked.spec,
        search=checked.search,
        stopper=checked.stopper,
        seeds=checked.seeds,
        concurrency=checked.concurrency,
        budget=checked.budget,
        revision=fresh.revision,
    )


def sweep_summaries(request: HttpRequest, sweeps: Sequence[Sweep]) -> list[SweepSummary]:
    counts, best, spent = queries.counts_of([sweep.pk for sweep in sweeps]), winners.best_of(sweeps), spent_of(sweeps)
    return [_summary(request, sweep, counts[sweep.pk], best[sweep.pk], spent[sweep.pk]) for sweep in sweeps]


def interval_output(interval: Interval | None) -> IntervalOutput | None:
    return IntervalOutput(**interval._asdict()) if interval else None


def entry_output(entry: Entry) -> EntryOutput:
    return EntryOutput(
        name=entry.name, title=entry.title, summary=entry.summary, doc=entry.doc, paper=entry.paper,
        knobs=entry.knobs.model_json_schema(),
    )  # fmt: skip


def _summary(
    request: HttpRequest, sweep: Sweep, counts: dict[str, int], best: Best | None, spent: Spent
) -> SweepSummary:
    page = reverse("sweep", kwargs={"slug": sweep.project.slug, "sweep_id": sweep.pk})
    trials = reverse("api:list_trials", kwargs={"sweep_id": sweep.pk})
    checked = queries.definition(sweep)
    return SweepSummary(
        id=sweep.pk,
        project=sweep.project.slug,
        name=sweep.name,
        status=SweepStatus(sweep.status),
        counts=counts,
        best=_best(best) if best else None,
        spent=SpentOutput(**spent._asdict()),
        objective=checked.objective,
        trials=checked.trials,
        tags=sweep.tags,
        priority=sweep.priority,
        queue=sweep.queue_id,
        schedule=sweep.schedule_id,
        protocol=sweep.protocol,
        created_by=sweep.created_by.username if sweep.created_by else None,
        created_at=sweep.created_at,
        ended_at=sweep.ended_at,
        end_reason=sweep.end_reason,
        trials_url=request.build_absolute_uri(trials),
        url=request.build_absolute_uri(page),
    )


def _best(best: Best) -> BestOutput:
    intervals = [interval_output(interval) for interval in best.intervals]
    return BestOutput(
        trial=best.trial,
        params=best.params,
        value=best.values[0],
        values=list(best.values),
        interval=intervals[0],
        intervals=intervals,
        test=[interval_output(interval) for interval in best.test] if best.test else None,
    )
