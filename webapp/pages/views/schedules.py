from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.views.decorators.http import require_safe

from webapp.accounts.models import Role
from webapp.accounts.roles import allows
from webapp.http import PageRequest, project_for, respond
from webapp.pages.schedules.rows import rows
from webapp.sweeps.scheduling import queries


@require_safe
@login_required
def schedules(request: PageRequest, slug: str) -> HttpResponse:
    """A project's schedules; to htmx their table alone, which asks again now and then."""
    project = project_for(request, slug)
    found = queries.visible(request.user).filter(project=project).order_by("-enabled", "name", "id")
    context = {
        "project": project,
        "rows": rows(list(found)),
        "may_edit": allows(request.user, project, Role.EDITOR),
        "crumbs": [{"label": "Schedules"}],
    }
    return respond(request, "pages/schedules.html", "parts/schedules.html", context)
