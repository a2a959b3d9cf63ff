from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.views.decorators.http import require_safe

from webapp.accounts.models import Role
from webapp.accounts.roles import allows
from webapp.http import PageRequest, is_fragment, project_for, respond
from webapp.pages.sweeps import table as tables


@require_safe
@login_required
def sweeps(request: PageRequest, slug: str) -> HttpResponse:
    """The table of a project's sweeps; to htmx the table alone, which asks again while one is live."""
    project = project_for(request, slug)
    query = tables.Query.of(request.GET)
    context = {
        "project": project,
        "table": tables.table(request.user, project, query),
        "query": query,
        "may_edit": allows(request.user, project, Role.EDITOR),
        "crumbs": [{"label": "Sweeps"}],
    }
    if not is_fragment(request):
        context |= {"statuses": tables.STATUSES, "tags": tables.tags_of(project)}
    return respond(request, "pages/sweeps.html", "parts/sweep_table.html", context)
