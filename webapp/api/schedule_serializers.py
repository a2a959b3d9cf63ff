"""Schedules as the API shows them: a page of them costs a fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest
from django.urls import reverse

from webapp.api.schemas.schedules import FiringOutput, ScheduleOutput
from webapp.sweeps.models import Firing, Schedule
from webapp.sweeps.scheduling.queries import last_firings, upcoming
from webapp.sweeps.scheduling.times import local, timing_of
from webapp.sweeps.scheduling.words import words


def schedule_output(request: HttpRequest, schedule: Schedule) -> ScheduleOutput:
    return schedule_outputs(request, [schedule])[0]


def schedule_outputs(request: HttpRequest, schedules: Sequence[Schedule]) -> list[ScheduleOutput]:
    last = last_firings(schedules)
    return [_output(request, schedule, last.get(schedule.pk)) for schedule in schedules]


def firing_output(firing: Firing) -> FiringOutput:
    return FiringOutput(
        id=firing.pk, due_at=firing.due_at, at=firing.at, outcome=Firing.Outcome(firing.outcome),
        message=firing.message, by=firing.by.username if firing.by else None, run=firing.run_id, sweep=firing.sweep_id,
    )  # fmt: skip


def _output(request: HttpRequest, schedule: Schedule, last: Firing | None) -> ScheduleOutput:
    slug = schedule.project.slug
    return ScheduleOutput(
        id=schedule.pk,
        project=slug,
        name=schedule.name,
        cron=schedule.cron,
        interval_s=schedule.interval_s,
        at=local(schedule.at, schedule.timezone) if schedule.at else None,
        timezone=schedule.timezone,
        when=words(timing_of(schedule)),
        action=schedule.action,
        missed=Schedule.Missed(schedule.missed),
        overlap=schedule.overlap,
        enabled=schedule.enabled,
        notice=schedule.notice,
        next=[local(time, schedule.timezone) for time in upcoming(schedule)],
        last=firing_output(last) if last else None,
        created_by=schedule.created_by.username if schedule.created_by else None,
        created_at=schedule.created_at,
        url=request.build_absolute_uri(reverse("schedule", kwargs={"slug": slug, "schedule_id": schedule.pk})),
    )
