from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe
from django_htmx.http import push_url, reswap

from webapp.accounts.models import Project, Role
from webapp.http import PageRequest, is_fragment, project_for, respond
from webapp.pages.runs import table as tables
from webapp.pages.runs.columns import column, is_family
from webapp.pages.runs.defaults import usual
from webapp.pages.runs.grouped import grouped_url
from webapp.pages.runs.newest import Newest, logged
from webapp.pages.runs.query import Query
from webapp.pages.runs.tools import Tools, address_of_view
from webapp.pages.views.run_groups import groups
from webapp.runs.language import BadQuery
from webapp.runs.states import Status

COLUMNS_KEY = "columns"  # in the session: per project, the columns chosen last


@require_safe
@login_required
def runs(request: PageRequest, slug: str) -> HttpResponse:
    """The table of a project's runs; to htmx the table alone, which asks again while something moves."""
    project = project_for(request, slug)
    if address := address_of_view(request, project):
        return redirect(address)
    query = Query.of(request.GET)
    tools = Tools(request, project, query)
    if "column" in request.GET:  # the form of the columns sends one field each: the address has them in one
        return redirect(request.path + grouped_url(query, tools.group, tools.sort_of_groups))
    newest = Newest(project)
    query = replace(query, columns=_columns(request, newest, query))
    columns_url = reverse("runs-columns", args=[project.slug]) + grouped_url(query, tools.group, tools.group_sort)
    if request.GET.get("group"):
        controls = {**_controls(newest), "columns_url": columns_url}
        return groups(request, project, query, lambda: controls, _refused)
    may_edit = request.role != Role.VIEWER
    try:
        table, error = tables.table(project, query, may_edit), ""
    except BadQuery as bad:
        if is_fragment(request):
            return _refused(request, bad)
        table, error = tables.table(project, replace(query, q=""), may_edit), str(bad)
    context = {
        "project": project,
        "table": table,
        "error": error,
        "query": query,
        "tools": Tools(request, project, query),
        "may_edit": may_edit,
        "columns_url": columns_url,
        "compare_url": f"{reverse('compare')}?{query.chosen(project)}",
        "crumbs": [{"label": "Runs"}],
    }
    if not is_fragment(request):
        context |= _controls(newest)
    return respond(request, "pages/runs.html", "parts/run_table.html", context, status=422 if error else 200)


def _refused(request: PageRequest, bad: BadQuery) -> HttpResponse:
    """What is wrong, below the field; the table, and the address, stay as they were."""
    answer = render(request, "parts/filter_error.html", {"error": str(bad), "oob": True})
    return push_url(reswap(answer, "none"), False)


def _columns(request: PageRequest, newest: Newest, query: Query) -> tuple[str, ...]:
    """Those of the address, which are remembered; else the remembered ones; else the usual ones."""
    project = newest.project
    asked, remembered = query.columns, request.session.get(COLUMNS_KEY, {})
    if asked and remembered.get(project.slug) != list(asked):
        asked = _known(project, asked)
        request.session[COLUMNS_KEY] = {**remembered, project.slug: list(asked)}
    return asked or tuple(remembered.get(project.slug, ())) or usual(newest)


def _known(project: Project, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Without plain words that are neither a column nor a metric that a run has."""
    metrics = {name for name in asked if not is_family(name) and column(name).is_metric}
    unknown = metrics.difference(logged(project, metrics))
    return tuple(name for name in asked if name not in unknown)


def _controls(newest: Newest) -> dict[str, object]:
    """What the filter offers; the table alone, which is asked for often, does without."""
    return {
        "statuses": ["active", *Status.values, "ended"],
        "kinds": newest.kinds,
        "tags": newest.tags,
        "completions_url": f"{reverse('api:complete_query')}?{urlencode({'project': newest.project.slug})}",
    }
