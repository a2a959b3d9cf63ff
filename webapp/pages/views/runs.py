from __future__ import annotations

from dataclasses import replace

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from django_htmx.http import push_url, reswap

from webapp.accounts.models import Project, Role
from webapp.accounts.roles import allows
from webapp.http import PageRequest, is_fragment, project_for, respond
from webapp.pages.runs import table as tables
from webapp.pages.runs.columns import COLUMNS, SHORT, column, usual
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
        return HttpResponseRedirect(address)
    query = tables.Query.of(request.GET)
    query = replace(query, columns=_columns(request, project, query))
    if request.GET.get("group"):
        return groups(request, project, query, lambda: _controls(project, query), _refused)
    try:
        table, error = tables.table(project, query), ""
    except BadQuery as bad:
        if is_fragment(request):
            return _refused(request, bad)
        table, error = tables.table(project, replace(query, q="")), str(bad)
    context = {
        "project": project,
        "table": table,
        "error": error,
        "query": query,
        "tools": Tools(request, project, query),
        "may_edit": allows(request.user, project, Role.EDITOR),
        "compare_url": f"{reverse('compare')}?{query.chosen(project)}",
        "crumbs": [{"label": "Runs"}],
    }
    if not is_fragment(request):
        context |= _controls(project, query)
    return respond(request, "pages/runs.html", "parts/run_table.html", context, status=422 if error else 200)


def _refused(request: PageRequest, bad: BadQuery) -> HttpResponse:
    """What is wrong, below the field; the table, and the address, stay as they were."""
    answer = render(request, "parts/filter_error.html", {"error": str(bad), "oob": True})
    return push_url(reswap(answer, "none"), False)


def _columns(request: PageRequest, project: Project, query: tables.Query) -> tuple[str, ...]:
    """Those of the address, which are remembered; else the remembered ones; else the usual ones."""
    asked = tuple(request.GET.getlist("column")) or query.columns
    remembered = request.session.get(COLUMNS_KEY, {})
    if asked and remembered.get(project.slug) != list(asked):
        known = {*COLUMNS, *tables.metric_names(project)}
        asked = tuple(name for name in asked if name in known or column(name).param or "metrics." in name)
        request.session[COLUMNS_KEY] = {**remembered, project.slug: list(asked)}
    return asked or tuple(remembered.get(project.slug, ())) or tuple(usual(tables.key_metrics(project)))


def _controls(project: Project, query: tables.Query) -> dict[str, object]:
    """What the filter and the column menu offer; the table alone, which is asked for often, does without."""
    labels = {name: item.label for name, item in COLUMNS.items()}
    labels |= {name: SHORT.get(name, name) for name in tables.metric_names(project)}
    return {
        "statuses": ["active", *Status.values, "ended"],
        "kinds": tables.kinds_of(project),
        "tags": tables.tags_of(project),
        "choices": [(name, label, name in query.columns) for name, label in labels.items()],
    }
