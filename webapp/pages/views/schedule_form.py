from __future__ import annotations

from itertools import islice
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts.models import Project, Role
from webapp.http import PageRequest, project_for
from webapp.pages.forms.schedule import FIELD_OF, ScheduleForm
from webapp.pages.schedules import sources
from webapp.pages.views.schedule import schedule_for
from webapp.sweeps.errors import Invalid
from webapp.sweeps.models import Schedule
from webapp.sweeps.scheduling import actions, clock, queries
from webapp.sweeps.scheduling.checking import wrong_with
from webapp.sweeps.scheduling.times import after, local, zones
from webapp.sweeps.scheduling.words import words


@require_http_methods(["GET", "POST"])
@login_required
def new(request: PageRequest, slug: str) -> HttpResponse:
    """GET shows the form (`?run=` or `?sweep=` fills in what to queue); POST makes the schedule."""
    project = project_for(request, slug, Role.EDITOR)
    if request.method == "GET":
        return _show(request, project, ScheduleForm(initial=_opened(request, project)))
    form = ScheduleForm(request.POST)
    if form.is_valid():
        try:
            schedule = actions.create(project=project, user=request.user, **form.values(project))
        except Invalid as error:
            form.show(error.errors)
        else:
            messages.success(request, f"{schedule.name} is made.")
            return redirect("schedule", slug, schedule.pk)
    return _show(request, project, form)


@require_http_methods(["GET", "POST"])
@login_required
def edit(request: PageRequest, slug: str, schedule_id: int) -> HttpResponse:
    schedule = schedule_for(request, slug, schedule_id, Role.EDITOR)
    if request.method == "GET":
        return _show(request, schedule.project, ScheduleForm(initial=ScheduleForm.initial_of(schedule)), schedule)
    form = ScheduleForm(request.POST)
    if form.is_valid():
        try:
            schedule = actions.edit(schedule, request.user, form.values(schedule.project, schedule))
        except Invalid as error:
            form.show(error.errors)
        else:
            messages.success(request, f"{schedule.name} is changed.")
            return redirect("schedule", slug, schedule.pk)
    return _show(request, schedule.project, form, schedule)


@require_POST
@login_required
def preview(request: PageRequest, slug: str) -> HttpResponse:
    """The next five times of the form as it stands, or what is wrong with its timing."""
    project_for(request, slug, Role.EDITOR)
    form = ScheduleForm(request.POST)
    form.full_clean()
    return render(request, "parts/schedule_preview.html", _preview(form))


def _preview(form: ScheduleForm) -> dict[str, Any]:
    told = [str(message) for name in FIELD_OF.values() if name not in ("name", "missed")
            for message in form.errors.get(name, [])]  # fmt: skip
    try:
        timing = form.timing_values()
    except Invalid as error:
        return {"wrong": [*told, *(item["msg"] for item in error.errors)]}
    wrong = told or list(wrong_with(timing).values())
    if wrong:
        return {"wrong": wrong}
    times = islice(after(timing, clock.now()), queries.SHOWN_TIMES)
    return {"when": words(timing), "zone": timing.timezone, "next": [local(time, timing.timezone) for time in times]}


def _opened(request: PageRequest, project: Project) -> dict[str, Any]:
    """What a link to the form says of the action."""
    for source, rows in (("run", sources.runs(project)), ("sweep", sources.sweeps(project))):
        number = request.GET.get(source, "")
        if number.isascii() and number.isdecimal() and len(number) < 18:
            named = rows.filter(pk=int(number)).first()
            return {"source": source, source: int(number), "name": named.name if named else ""}
    return {}


def _show(request: PageRequest, project: Project, form: ScheduleForm, schedule: Schedule | None = None) -> HttpResponse:
    list_url = reverse("schedules", args=[project.slug])
    here = [{"label": schedule.name, "url": reverse("schedule", args=[project.slug, schedule.pk])}] if schedule else []
    context = {
        "project": project,
        "form": form,
        "schedule": schedule,
        "zones": zones(),
        "runs": sources.runs(project)[: sources.MOST_OFFERED],
        "sweeps": sources.sweeps(project)[: sources.MOST_OFFERED],
        "back": here[0]["url"] if here else list_url,
        "crumbs": [{"label": "Schedules", "url": list_url}, *here, {"label": "Edit" if schedule else "New schedule"}],
    }
    return render(request, "pages/schedule_form.html", context, status=422 if form.is_bound else 200)
