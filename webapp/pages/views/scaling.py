from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_safe

from webapp.accounts.models import Role
from webapp.accounts.roles import allows
from webapp.http import PageRequest, project_for, respond
from webapp.pages.scaling import listing
from webapp.runs.states import FINAL


@require_safe
@login_required
def scaling(request: PageRequest, slug: str) -> HttpResponse:
    """The project's ladders and fits; to htmx the tables alone, which ask again while something is fitted."""
    project = project_for(request, slug)
    fits, ladders = listing.fit_rows(project), listing.ladder_rows(project)
    context = {
        "project": project,
        "fits": fits,
        "ladders": ladders,
        "is_live": any(row.revision and row.revision.run.status not in FINAL for row in fits),
        "may_edit": allows(request.user, project, Role.EDITOR),
        "ladder_new_url": _ladder_new(slug),
        "crumbs": [{"label": "Scaling"}],
    }
    return respond(request, "pages/scaling.html", "parts/fit_list.html", context)


def _ladder_new(slug: str) -> str:
    try:
        return reverse("ladder-new", args=[slug])
    except NoReverseMatch:
        return ""
