"""When, what and how of a schedule. The rules are those of the action; this only reads text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms

from webapp.accounts.errors import FieldError
from webapp.accounts.models import Project
from webapp.pages.forms.values import storable
from webapp.pages.schedules import sources
from webapp.sweeps.errors import Invalid
from webapp.sweeps.models import Schedule
from webapp.sweeps.scheduling.checking import local_time, wrong_with
from webapp.sweeps.scheduling.times import Timing, local
from webapp.sweeps.scheduling.words import UNITS

TIMINGS = (("cron", "By cron"), ("interval", "Every so often"), ("once", "Once"))
SOURCES = (("run", "Queue a run again"), ("sweep", "Repeat a sweep"), ("json", "Write it as JSON"))
MISSED = (("skip", "Leave them out"), ("once", "Make up for them, once"))
UNIT_CHOICES = [(str(size), f"{name}s") for size, name in UNITS][::-1]
FIELD_OF = {
    "cron": "cron",
    "interval_s": "every",
    "at": "at",
    "timezone": "timezone",
    "name": "name",
    "missed": "missed",
}
DATA = {"class": "data", "autocomplete": "off", "spellcheck": "false"}
NUMBER = {**DATA, "inputmode": "numeric", "placeholder": "its number"}


class ScheduleForm(forms.Form):
    name = forms.CharField(max_length=200, widget=forms.TextInput({"autocomplete": "off"}))
    timing = forms.ChoiceField(choices=TIMINGS, initial="cron")
    cron = forms.CharField(
        required=False, initial="0 2 * * *", label="Cron", widget=forms.TextInput({**DATA, "maxlength": 200}),
        help_text="minute hour day-of-month month day-of-week: <code>0 2 * * MON-FRI</code> is 02:00 on weekdays.",
    )  # fmt: skip
    every = forms.IntegerField(required=False, initial=6, min_value=1, max_value=10**8)
    unit = forms.ChoiceField(choices=UNIT_CHOICES, required=False, initial="3600")
    at = forms.CharField(required=False, label="Date and time", widget=forms.TextInput({"type": "datetime-local"}))
    timezone = forms.CharField(
        initial="UTC", max_length=64, label="Time zone",
        widget=forms.TextInput({"list": "timezones", "autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    source = forms.ChoiceField(choices=SOURCES, initial="run")
    run = forms.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, widget=forms.TextInput({**NUMBER, "list": "runs"}),
        help_text="Its spec is copied now: later changes of the run change nothing here.",
    )  # fmt: skip
    sweep = forms.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, widget=forms.TextInput({**NUMBER, "list": "sweeps"}),
        help_text="Its definition is copied now, less its deadline.",
    )  # fmt: skip
    action = forms.CharField(
        required=False, label="Action", widget=forms.Textarea({"class": "data", "rows": 18, "spellcheck": "false"}),
        help_text='<code>{"run": {...}}</code> or <code>{"sweep": {...}}</code>: what the API takes, less the project.',
    )  # fmt: skip
    missed = forms.ChoiceField(choices=MISSED, initial="skip", label="Missed times")
    overlap = forms.BooleanField(required=False, label="Begin even while what it began before is not over")
    enabled = forms.BooleanField(required=False, initial=True, label="Enabled")

    @staticmethod
    def initial_of(schedule: Schedule) -> dict[str, Any]:
        at = local(schedule.at, schedule.timezone) if schedule.at else None
        kind = "interval" if schedule.interval_s else "once" if at else "cron"
        return {
            "name": schedule.name, "timing": kind, "cron": schedule.cron, "timezone": schedule.timezone,
            **_every(schedule.interval_s), "at": f"{at:%Y-%m-%dT%H:%M}" if at else "", "source": "json",
            "action": json.dumps(schedule.action, indent=2, ensure_ascii=False), "missed": schedule.missed,
            "overlap": schedule.overlap, "enabled": schedule.enabled,
        }  # fmt: skip

    def timing_values(self, before: Schedule | None = None) -> Timing:
        """The timing that is chosen, of the three that are filled in. Raises Invalid."""
        data, zone = self.cleaned_data, self.cleaned_data.get("timezone", "UTC").strip()
        match data.get("timing"):
            case "interval":
                every = data.get("every")
                return Timing(interval_s=every * int(data.get("unit") or 60) if every else 0, timezone=zone)
            case "once":
                return Timing(at=_moment(data.get("at", ""), zone, before), timezone=zone)
        return Timing(cron=data.get("cron", "").strip() or " ", timezone=zone)

    def values(self, project: Project, before: Schedule | None = None) -> dict[str, Any]:
        """The arguments of create and edit, less project and user. Raises Invalid."""
        data, timing = self.cleaned_data, self.timing_values(before)
        names = ("name", "missed", "overlap", "enabled")
        return {**timing._asdict(), **{name: data[name] for name in names}, "action": self._action(project)}

    def show(self, errors: Sequence[FieldError]) -> None:
        """Each sentence at its field; those about the action at the way it was given, with their path."""
        source = self.cleaned_data["source"]
        fields = {**FIELD_OF, "action": "action" if source == "json" else source}
        for error in errors:
            place, *path = [str(step) for step in error["loc"]] or [""]
            name = fields.get(place, place)
            told = f"{'.'.join(path)}: {error['msg']}" if path else error["msg"]
            self.add_error(name if name in self.fields else None, told)

    def _action(self, project: Project) -> Any:
        match self.cleaned_data["source"]:
            case "run":
                return sources.of_run(project, self.cleaned_data.get("run"))
            case "sweep":
                return sources.of_sweep(project, self.cleaned_data.get("sweep"))
        return _json(self.cleaned_data.get("action", ""))


def _every(interval_s: int | None) -> dict[str, Any]:
    """In the largest unit that fits it."""
    if not interval_s:
        return {}
    size = next(size for size, _ in UNITS if interval_s % size == 0)
    return {"every": interval_s // size, "unit": str(size)}


def _moment(text: str, zone: str, before: Schedule | None) -> datetime:
    """A browser tells no seconds: a time that was not touched keeps its own."""
    if before and before.at and zone == before.timezone and text == f"{local(before.at, zone):%Y-%m-%dT%H:%M}":
        return before.at
    try:
        naive = datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise Invalid.field("at", f"This needs a date and a time, like 2026-12-01 08:00, not {text!r}.") from None
    if "timezone" in wrong_with(Timing("* * * * *", timezone=zone)):
        zone = "UTC"  # the zone is told to be wrong by the action
    return local_time(naive, zone)


def _json(text: str) -> Any:
    """Raises Invalid for what is not JSON, or can't be stored."""

    def no_constant(name: str) -> None:
        raise ValueError(f"{name} is no number that JSON can hold")

    try:
        value = json.loads(text, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise Invalid.field("action", f"This is not JSON: {error}.") from None
    storable(value)
    return value
