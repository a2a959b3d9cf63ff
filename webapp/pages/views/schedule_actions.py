from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts.models import Role
from webapp.http import PageRequest, respond
from webapp.pages.views.schedule import schedule_for
from webapp.sweeps.errors import Invalid, WrongState
from webapp.sweeps.models import Schedule
from webapp.sweeps.scheduling import actions


@require_POST
@login_required
def run(request: PageRequest, slug: str, schedule_id: int) -> HttpResponse:
    schedule = schedule_for(request, slug, schedule_id, Role.EDITOR)
    try:
        firing = actions.run_now(schedule, request.user)
    except (Invalid, WrongState) as error:
        messages.error(request, str(error))
    else:
        begun = firing.run or firing.sweep
        messages.success(request, f"{begun.name if begun else schedule.name} is begun.")
    return redirect("schedule", slug, schedule_id)


@require_POST
@login_required
def enable(request: PageRequest, slug: str, schedule_id: int) -> HttpResponse:
    schedule = schedule_for(request, slug, schedule_id, Role.EDITOR)
    try:
        actions.enable(schedule, request.user)
    except Invalid as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{schedule.name} is enabled, from now on.")
    return _back(request, schedule)


@require_POST
@login_required
def disable(request: PageRequest, slug: str, schedule_id: int) -> HttpResponse:
    schedule = actions.disable(schedule_for(request, slug, schedule_id, Role.EDITOR))
    messages.success(request, f"{schedule.name} is disabled; what it has begun goes on.")
    return _back(request, schedule)


@require_http_methods(["GET", "POST"])
@login_required
def delete(request: PageRequest, slug: str, schedule_id: int) -> HttpResponse:
    """GET asks, POST does."""
    schedule = schedule_for(request, slug, schedule_id, Role.EDITOR)
    if request.method == "POST":
        actions.delete(schedule)
        messages.success(request, f"{schedule.name} is deleted.")
        return redirect("schedules", slug)
    context = {
        "title": f"Delete {schedule.name}?",
        "text": "Its history goes with it; the runs and sweeps that it has begun stay. It can't be undone.",
        "action": "Delete",
        "url": request.path,
        "back": reverse("schedule", args=[slug, schedule_id]),
    }
    return respond(request, "pages/confirm.html", "parts/confirm.html", context)


def _back(request: PageRequest, schedule: Schedule) -> HttpResponse:
    """To the list when the switch was pressed there."""
    slug = schedule.project.slug
    return (
        redirect("schedules", slug) if request.POST.get("from") == "list" else redirect("schedule", slug, schedule.pk)
    )
