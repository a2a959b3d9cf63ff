"""Runs as the API shows them: a page of them costs a fixed number of queries.

A page of 100 runs has 2,000 summaries. So rows are plain values in the order of RunOutput, written as JSON at once:
models in between would take half of the time, and the database makes sure of what they would check.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from pydantic_core import to_json

from webapp.api.schemas.runs import RunOutput, Summary
from webapp.metrics.queries import summaries
from webapp.metrics.summary import Summary as StoredSummary
from webapp.runs.models import Attempt, PhaseMark, Run
from webapp.runs.queries import positions
from webapp.runs.states import Status

Row = dict[str, Any]
JSON = "application/json; charset=utf-8"


def with_relations(runs: QuerySet[Run]) -> QuerySet[Run]:
    return runs.select_related("project", "created_by")


def run_output(request: HttpRequest, run: Run) -> RunOutput:
    """The run as it is in the database now."""
    fresh = with_relations(Run.objects.filter(pk=run.pk)).get()
    return RunOutput(**run_rows(request, [fresh])[0])


def run_list(request: HttpRequest, runs: Sequence[Run], following: str | None) -> HttpResponse:
    """A RunList, written straight away."""
    body = to_json({"items": run_rows(request, runs), "next": following}, inf_nan_mode="strings")
    return HttpResponse(body, content_type=JSON)


def run_rows(request: HttpRequest, runs: Sequence[Run]) -> list[Row]:
    """The fields of RunOutput."""
    numbers = [run.pk for run in runs]
    more = _More(
        summaries(numbers), _attempts(numbers), positions(_queued(runs)), _addresses(request, _slugs(runs))
    )  # fmt: skip
    return [_row(run, more) for run in runs]


def summary_output(summary: StoredSummary) -> Summary:
    return Summary(**_summary(summary))


class _More(NamedTuple):
    """What other tables know of some runs, by their number."""

    summaries: Mapping[int, Mapping[str, StoredSummary]]
    attempts: Mapping[int, list[Row]]
    positions: Mapping[int, int]
    address: Callable[[str], str]


def _queued(runs: Sequence[Run]) -> list[int]:
    return [run.pk for run in runs if run.status == Status.QUEUED]


def _slugs(runs: Sequence[Run]) -> set[str]:
    return {run.project.slug for run in runs}


def _addresses(request: HttpRequest, slugs: Iterable[str]) -> Callable[[str], str]:
    """Where a project's runs are."""
    found = {slug: request.build_absolute_uri(reverse("runs", kwargs={"slug": slug})) for slug in slugs}
    return found.__getitem__


def _row(run: Run, more: _More) -> Row:
    metrics = more.summaries.get(run.pk, {})
    return {
        "id": run.pk,
        "project": run.project.slug,
        "name": run.name,
        "kind": run.kind,
        "status": run.status,
        "priority": run.priority,
        "queue": run.queue_id,
        "position": more.positions.get(run.pk),
        "tags": run.tags,
        "baseline": run.baseline_id,
        "spec": run.spec,
        "summary": {name: _summary(metrics[name]) for name in sorted(metrics)},
        "result": run.result,
        "error": _error(run.error_type, run.error_message),
        "attempts": more.attempts.get(run.pk, []),
        "step": run.step,
        "steps": run.steps,
        "phase": run.phase,
        "facts": run.facts,
        "provenance": run.provenance,
        "created_by": run.created_by.username if run.created_by else None,
        "created_at": _moment(run.created_at),
        "started_at": _moment(run.started_at),
        "ended_at": _moment(run.ended_at),
        "url": f"{more.address(run.project.slug)}{run.pk}/",
    }


def _summary(summary: StoredSummary) -> Row:
    return {
        "last": summary.last,
        "min": summary.minimum,
        "max": summary.maximum,
        "mean": summary.mean,
        "count": summary.count,
        "last_step": summary.last_step,
    }


ATTEMPT = ("id", "run_id", "number", "status", "worker_name", "devices", "resumed_from_step", "last_step",
           "error_type", "error_message", "started_at", "ended_at")  # fmt: skip


def _attempts(run_ids: Sequence[int]) -> dict[int, list[Row]]:
    """Per run, its attempts by number."""
    phases = _phases(run_ids)
    found: dict[int, list[Row]] = defaultdict(list)
    for attempt in Attempt.objects.filter(run_id__in=run_ids).order_by("number").values_list(*ATTEMPT, named=True):
        found[attempt.run_id].append(_attempt(attempt, phases.get(attempt.id, [])))
    return found


def _attempt(attempt: Any, phases: list[Row]) -> Row:
    return {
        "number": attempt.number,
        "status": attempt.status,
        "worker": attempt.worker_name,
        "devices": attempt.devices,
        "resumed_from_step": attempt.resumed_from_step,
        "last_step": attempt.last_step,
        "phases": phases,
        "error": _error(attempt.error_type, attempt.error_message),
        "started_at": _moment(attempt.started_at),
        "ended_at": _moment(attempt.ended_at),
    }


def _phases(run_ids: Sequence[int]) -> dict[Any, list[Row]]:
    """Per attempt, its phases in order."""
    found: dict[Any, list[Row]] = defaultdict(list)
    marks = PhaseMark.objects.filter(attempt__run_id__in=run_ids).order_by("id")
    for attempt_id, name, step, at, peak in marks.values_list("attempt_id", "name", "step", "at", "peak_memory_bytes"):
        found[attempt_id].append({"name": name, "step": step, "at": _moment(at), "peak_memory_bytes": peak})
    return found


def _error(type_: str, message: str) -> Row | None:
    return {"type": type_, "message": message} if type_ or message else None


def _moment(moment: datetime | None) -> str | None:
    """As every other answer has it: in milliseconds."""
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")
