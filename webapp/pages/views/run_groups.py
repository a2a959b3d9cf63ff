from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, Role
from webapp.accounts.roles import allows
from webapp.http import PageRequest, is_fragment, respond
from webapp.metrics.table.grouping import Groups, grouped
from webapp.metrics.table.keys import keys_of
from webapp.pages.runs.grouped import group_table
from webapp.pages.runs.newest import runs_of
from webapp.pages.runs.query import Query
from webapp.pages.runs.table import filtered
from webapp.pages.runs.tools import Tools, fields_of
from webapp.runs.counting import counted
from webapp.runs.language import BadQuery

NOTHING = Groups([], [], [], False, "")


def groups(
    request: PageRequest,
    project: Project,
    query: Query,
    controls: Callable[[], dict[str, object]],
    refused: Callable[[PageRequest, BadQuery], HttpResponse],
) -> HttpResponse:
    """The table of runs put in groups: what views/runs.py answers where its address has a `group`."""
    tools, runs = Tools(request, project, query), runs_of(project)
    found, error = NOTHING, ""
    try:
        runs = filtered(runs, query)
        found = grouped(runs, keys_of(tools.group), fields_of(query), tools.group_sort, query.q)
    except Invalid as bad:
        if isinstance(bad, BadQuery) and is_fragment(request):
            return refused(request, bad)
        error = str(bad)
    context: dict[str, Any] = {
        "project": project,
        "query": query,
        "tools": tools,
        "error": error,
        "groups": group_table(project, query, found, tools.group),
        "found": counted(runs),
        "may_edit": allows(request.user, project, Role.EDITOR),
        "compare_url": f"{reverse('compare')}?{query.chosen(project)}",
        "crumbs": [{"label": "Runs"}],
    }
    if not is_fragment(request):
        context |= controls()
    return respond(request, "pages/run_groups.html", "parts/run_groups.html", context, status=422 if error else 200)
