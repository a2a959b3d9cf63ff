"""The choice of the table's columns: a dialog, or a page without a script; its search asks for what it finds alone."""

from __future__ import annotations

from dataclasses import replace

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from webapp.http import PageRequest, project_for, respond
from webapp.pages.runs import choosing
from webapp.pages.runs.defaults import usual
from webapp.pages.runs.grouped import grouped_url
from webapp.pages.runs.newest import Newest
from webapp.pages.runs.query import Query
from webapp.pages.runs.tools import LONGEST, text_of


@require_safe
@login_required
def columns(request: PageRequest, slug: str) -> HttpResponse:
    """Those shown, in order, then what else there is. The form leads to the table, which remembers the choice."""
    project = project_for(request, slug)
    query, find = Query.of(request.GET), request.GET.get("find", "").replace("\x00", "").strip()[:250]
    names = query.columns or usual(Newest(project))
    for way, by in (("up", -1), ("down", 1)):
        names = choosing.moved(names, request.GET.get(way, ""), by)
    query = replace(query, columns=names)
    runs_url = reverse("runs", args=[project.slug])
    context = {
        "project": project,
        "query": query,
        "find": find,
        "shown": choosing.shown(names),
        "groups": choosing.offered(project, find, names),
        "grouping": [(name, value) for name in LONGEST if (value := text_of(request.GET, name))],
        "table_url": runs_url + grouped_url(query, *(text_of(request.GET, name) for name in LONGEST)),
        "crumbs": [{"label": "Runs", "url": runs_url}, {"label": "Columns"}],
    }
    if request.htmx.target == "columns-found":
        return render(request, "parts/columns_found.html", context)
    return respond(request, "pages/runs_columns.html", "parts/columns_form.html", context)
