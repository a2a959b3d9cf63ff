"""Runs as the API shows them: the database writes each as JSON, so a page of any length is one statement.

A page of 100 runs has 2,000 summaries and 100 specs: read into Python and written again they took two thirds of an
answer's time, and the database has what they say in order already.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from webapp.api.schemas.runs import RunOutput, Summary
from webapp.metrics.summary import Summary as StoredSummary
from webapp.runs.models import Run
from webapp.runs.queries import positions
from webapp.runs.states import Status

JSON = "application/json; charset=utf-8"


def run_output(request: HttpRequest, run: Run) -> RunOutput:
    """The run as it is in the database now. Raises Run.DoesNotExist."""
    for written in run_rows(request, [run.pk]):
        return RunOutput(**json.loads(written))
    raise Run.DoesNotExist


def run_list(request: HttpRequest, run_ids: Sequence[int], following: str | None) -> HttpResponse:
    """A RunList of the runs with these ids, in this order."""
    items = ",".join(run_rows(request, run_ids))
    return HttpResponse(f'{{"items":[{items}],"next":{json.dumps(following)}}}', content_type=JSON)


def run_rows(request: HttpRequest, run_ids: Sequence[int]) -> list[str]:
    """The fields of RunOutput, an object for each run; one that has been removed meanwhile is left out."""
    with connection.cursor() as cursor:
        cursor.execute(_RUNS, [list(run_ids)])
        found = {run_id: more for run_id, *more in cursor.fetchall()}
    places = positions(run_id for run_id, (status, _, _) in found.items() if status == Status.QUEUED)
    address = {slug: request.build_absolute_uri(reverse("runs", args=[slug])) for _, slug, _ in found.values()}
    rows = []
    for run_id in filter(found.__contains__, run_ids):
        _, slug, written = found[run_id]
        known = json.dumps({"position": places.get(run_id), "url": f"{address[slug]}{run_id}/"})
        rows.append(f"{written[:-1]},{known[1:]}")
    return rows


def summary_output(summary: StoredSummary) -> Summary:
    return Summary(
        last=summary.last,
        min=summary.minimum,
        max=summary.maximum,
        mean=summary.mean,
        count=summary.count,
        last_step=summary.last_step,
    )


def _moment(column: str) -> str:
    """As every other answer has it: in milliseconds, and without them where they are none."""
    written = f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
    return f"replace({written}, '.000Z', 'Z')"


def _error(table: str) -> str:
    told = f"json_build_object('type', {table}.error_type, 'message', {table}.error_message)"
    return f"CASE WHEN {table}.error_type <> '' OR {table}.error_message <> '' THEN {told} END"


_SUMMARY = """
(SELECT json_object_agg(name, json_build_object(
    'last', last, 'min', minimum, 'max', maximum, 'mean', total / nullif(finite_count, 0),
    'count', count, 'last_step', last_step) ORDER BY name)
 FROM series WHERE run_id = run.id AND count > 0)
"""
_PHASES = f"""
(SELECT json_agg(json_build_object(
    'name', name, 'step', step, 'at', {_moment("at")}, 'peak_memory_bytes', peak_memory_bytes) ORDER BY id)
 FROM phase_marks WHERE attempt_id = attempt.id)
"""  # noqa: S608
_ATTEMPTS = f"""
(SELECT json_agg(json_build_object(
    'number', number, 'status', status, 'worker', worker_name, 'devices', devices,
    'resumed_from_step', resumed_from_step, 'last_step', last_step, 'phases', coalesce({_PHASES}, '[]'),
    'error', {_error("attempt")}, 'started_at', {_moment("started_at")}, 'ended_at', {_moment("ended_at")}
 ) ORDER BY number)
 FROM attempts attempt WHERE run_id = run.id)
"""  # noqa: S608
_RUNS = f"""
SELECT run.id, run.status, project.slug, json_build_object(
    'id', run.id, 'project', project.slug, 'name', run.name, 'kind', run.kind, 'status', run.status,
    'priority', run.priority, 'queue', run.queue, 'tags', run.tags, 'baseline', run.baseline_id, 'spec', run.spec,
    'summary', coalesce({_SUMMARY}, '{{}}'), 'result', run.result, 'error', {_error("run")},
    'attempts', coalesce({_ATTEMPTS}, '[]'), 'step', run.step, 'steps', run.steps, 'phase', run.phase,
    'facts', run.facts, 'provenance', run.provenance, 'created_by', person.username,
    'created_at', {_moment("run.created_at")}, 'started_at', {_moment("run.started_at")},
    'ended_at', {_moment("run.ended_at")})::text
FROM runs run JOIN projects project ON project.id = run.project_id
LEFT JOIN users person ON person.id = run.created_by_id WHERE run.id = ANY(%s)
"""  # noqa: S608
