from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from webapp.accounts.models import Role
from webapp.accounts.roles import allows
from webapp.http import PageRequest, project_for, respond
from webapp.pages.schedules.rows import is_over, what
from webapp.sweeps.models import Schedule
from webapp.sweeps.scheduling import queries
from webapp.sweeps.scheduling.times import local, timing_of
from webapp.sweeps.scheduling.words import words

PAGE_ROWS = 50


def schedule_for(request: PageRequest, slug: str, schedule_id: int, needed: Role = Role.VIEWER) -> Schedule:
    """The schedule at this address, if it is there and theirs to see; PermissionDenied when the role is too low."""
    project = project_for(request, slug, needed)
    found = queries.visible(request.user).filter(project=project)
    schedule = found.filter(pk=schedule_id).first() if schedule_id < 2**63 else None
    if schedule is None:
        raise Http404(f"There is no schedule {schedule_id} in {project.name}; it may have been deleted.")
    return schedule


@require_safe
@login_required
def schedule(request: PageRequest, slug: str, schedule_id: int) -> HttpResponse:
    """What it does, its next times and its history (`?page=`); to htmx without the frame."""
    schedule = schedule_for(request, slug, schedule_id)
    return respond(request, "pages/schedule.html", "parts/schedule.html", _context(request, schedule))


def _context(request: PageRequest, schedule: Schedule) -> dict[str, Any]:
    slug = schedule.project.slug
    history = Paginator(queries.firings(schedule), PAGE_ROWS).get_page(request.GET.get("page"))
    return {
        "schedule": schedule,
        "project": schedule.project,
        "what": what(schedule.action),
        "when": words(timing_of(schedule)),
        "is_over": is_over(schedule),
        "next": [local(time, schedule.timezone) for time in queries.upcoming(schedule)],
        "firings": history,
        "next_url": f"?page={history.next_page_number()}" if history.has_next() else "",
        "previous_url": f"?page={history.previous_page_number()}" if history.has_previous() else "",
        "range_text": f"{history.start_index():,}-{history.end_index():,} of {history.paginator.count:,}",
        "action_text": json.dumps(schedule.action, indent=2, ensure_ascii=False),
        "may_edit": allows(request.user, schedule.project, Role.EDITOR),
        "crumbs": [{"label": "Schedules", "url": reverse("schedules", args=[slug])}, {"label": schedule.name}],
    }
