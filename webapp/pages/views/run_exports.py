from __future__ import annotations

from dataclasses import replace
from typing import get_args

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from webapp.accounts.errors import Invalid
from webapp.api.routers.metrics import CONTENT_TYPES
from webapp.api.streaming import attachment
from webapp.http import PageRequest, project_for
from webapp.metrics.table.exporting import Format, export
from webapp.pages.runs.defaults import usual
from webapp.pages.runs.newest import Newest, runs_of
from webapp.pages.runs.query import Query
from webapp.pages.runs.table import filtered, order_of
from webapp.pages.runs.tools import fields_of


@require_safe
@login_required
def runs_export(request: PageRequest, slug: str) -> HttpResponseBase:
    """Every run that the table's address finds, as a file of its columns."""
    project = project_for(request, slug)
    query = Query.of(request.GET)
    query = replace(query, columns=query.columns or usual(Newest(project)))
    form: Format = next((one for one in get_args(Format) if one == request.GET.get("format")), "csv")
    sort, order = order_of(query.sort)
    try:
        pieces = export(filtered(runs_of(project), query), order, sort, fields_of(query), form)
    except Invalid as error:
        return _refused(request, slug, query, error)
    return attachment(request, pieces, f"{slug}-runs.{form}", content_type=CONTENT_TYPES[form])


def _refused(request: PageRequest, slug: str, query: Query, error: Invalid) -> HttpResponse:
    """Back to the table, which says what is wrong with a query by itself."""
    messages.error(request, str(error).partition("\n")[0])
    return HttpResponseRedirect(reverse("runs", args=[slug]) + query.url_query())
