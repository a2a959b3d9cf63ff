"""Schedules and what became of their times."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, ConfigDict, Field

from webapp.api.schemas.common import Input, Output
from webapp.api.schemas.runs import SPEC_EXAMPLE
from webapp.sweeps.models import Firing, Schedule

ACTION = (
    '`{"run": {...}}` or `{"sweep": {...}}`: the body of POST /runs or /sweeps without its project. The name of what '
    "it queues gets the date of the time that it is for."
)
EXAMPLE: dict[str, Any] = {
    "project": "tiny-language-models", "name": "nightly", "cron": "0 2 * * *", "timezone": "Europe/Berlin",
    "action": {"run": {"name": "lora r8", "spec": SPEC_EXAMPLE}}, "missed": "once", "overlap": False, "enabled": True,
}  # fmt: skip


class ScheduleInput(Input):
    """One of cron, interval_s and at."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    project: str = Field(description="The project's slug.")
    name: str = Field(description="1 to 200 characters.")
    cron: str = Field("", description="minute hour day-of-month month day-of-week, in the time zone.")
    interval_s: int | None = Field(None, description="Seconds from one time to the next, at least 60.")
    at: AwareDatetime | None = Field(None, description="Once, at this time.")
    timezone: str = Field("UTC", examples=["Europe/Berlin"])
    action: dict[str, Any] = Field(description=ACTION)
    missed: Schedule.Missed = Field(
        Schedule.Missed.SKIP, description="Times at which nobody was there to begin it: left out, or made up for once."
    )
    overlap: bool = Field(False, description="It may begin while what it began before is not over.")
    enabled: bool = True


class ScheduleChanges(Input):
    """Only the fields that are sent are changed; a new cron, interval_s or at takes the place of the old one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"interval_s": 3600, "enabled": True}]})

    name: str | None = None
    cron: str | None = None
    interval_s: int | None = None
    at: AwareDatetime | None = None
    timezone: str | None = None
    action: dict[str, Any] | None = Field(None, description=ACTION)
    missed: Schedule.Missed | None = None
    overlap: bool | None = None
    enabled: bool | None = None


class FiringOutput(Output):
    id: int
    due_at: datetime = Field(description="The time that came; of a run by hand, when that was.")
    at: datetime = Field(description="When it was dealt with.")
    outcome: Firing.Outcome
    message: str = Field(description="Why, in sentences; empty where there is nothing to say.")
    by: str | None = Field(description="Who ran it by hand.")
    run: int | None
    sweep: int | None


class FiringList(Output):
    items: list[FiringOutput]
    next: str | None = Field(description="Pass it as `cursor` for the next page; null on the last.")


class ScheduleOutput(Output):
    id: int
    project: str = Field(description="The project's slug.")
    name: str
    cron: str
    interval_s: int | None
    at: datetime | None
    timezone: str
    when: str = Field(description="The timing in words.", examples=["At 02:00"])
    action: dict[str, Any]
    missed: Schedule.Missed
    overlap: bool
    enabled: bool
    notice: str = Field(description="Why it stopped by itself.")
    next: list[datetime] = Field(description="The next five times, in its time zone; none while it is disabled.")
    last: FiringOutput | None = Field(description="What became of its last time.")
    created_by: str | None = Field(description="The person for whom it acts.")
    created_at: datetime
    url: str = Field(description="The schedule's page.")


class ScheduleList(Output):
    items: list[ScheduleOutput]
    next: str | None = Field(description="Pass it as `cursor` for the next page; null on the last.")
