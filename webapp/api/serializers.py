"""Runs as the API shows them: a page of them costs a fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from webapp.api.schemas.runs import AttemptOutput, PhaseOutput, RunError, RunOutput, Summary
from webapp.metrics.queries import summaries
from webapp.metrics.summary import Summary as StoredSummary
from webapp.runs.models import Attempt, Run
from webapp.runs.queries import positions
from webapp.runs.states import Status


def with_relations(runs: QuerySet[Run]) -> QuerySet[Run]:
    attempts = Attempt.objects.order_by("number").prefetch_related("phases")
    return runs.select_related("project", "created_by").prefetch_related(Prefetch("attempts", queryset=attempts))


def run_output(request: HttpRequest, run: Run) -> RunOutput:
    """The run as it is in the database now."""
    fresh = with_relations(Run.objects.filter(pk=run.pk)).get()
    return run_outputs(request, [fresh])[0]


def run_outputs(request: HttpRequest, runs: Sequence[Run]) -> list[RunOutput]:
    summaries_of = summaries([run.pk for run in runs])
    places = positions(run.pk for run in runs)
    return [_output(request, run, summaries_of.get(run.pk, {}), places.get(run.pk)) for run in runs]


def summary_output(summary: StoredSummary) -> Summary:
    return Summary(
        last=summary.last, min=summary.minimum, max=summary.maximum, mean=summary.mean, count=summary.count,
        last_step=summary.last_step,
    )  # fmt: skip


def _output(request: HttpRequest, run: Run, summary: dict[str, StoredSummary], position: int | None) -> RunOutput:
    return RunOutput(
        id=run.pk,
        project=run.project.slug,
        name=run.name,
        kind=run.kind,
        status=Status(run.status),
        priority=run.priority,
        queue=run.queue_id,
        position=position,
        tags=run.tags,
        baseline=run.baseline_id,
        spec=run.spec,
        summary={name: summary_output(values) for name, values in sorted(summary.items())},
        result=run.result,
        error=_error(run),
        attempts=[_attempt(attempt) for attempt in run.attempts.all()],
        step=run.step,
        steps=run.steps,
        phase=run.phase,
        facts=run.facts,
        provenance=run.provenance,
        created_by=run.created_by.username if run.created_by else None,
        created_at=run.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        url=request.build_absolute_uri(reverse("run", kwargs={"slug": run.project.slug, "run_id": run.pk})),
    )


def _attempt(attempt: Attempt) -> AttemptOutput:
    phases = [
        PhaseOutput(name=mark.name, step=mark.step, at=mark.at, peak_memory_bytes=mark.peak_memory_bytes)
        for mark in attempt.phases.all()
    ]
    return AttemptOutput(
        number=attempt.number,
        status=Status(attempt.status),
        worker=attempt.worker_name,
        devices=attempt.devices,
        resumed_from_step=attempt.resumed_from_step,
        last_step=attempt.last_step,
        phases=phases,
        error=_error(attempt),
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
    )


def _error(row: Run | Attempt) -> RunError | None:
    if not (row.error_type or row.error_message):
        return None
    return RunError(type=row.error_type, message=row.error_message)
