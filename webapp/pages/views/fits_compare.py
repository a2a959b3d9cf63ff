from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from webapp.accounts.models import Project
from webapp.http import PageRequest, is_fragment, project_for
from webapp.pages.scaling import comparing, panels
from webapp.pages.scaling.comparing import MOST, Compared
from webapp.pages.scaling.exporting import csv_of_figure
from webapp.pages.views.fit_figures import file_of
from webapp.scaling import queries, reading
from webapp.scaling.models import Fit


@require_safe
@login_required
def compare(request: PageRequest, slug: str) -> HttpResponse:
    """Fits side by side: `?fits=1,2`, and the point that they are asked for."""
    project = project_for(request, slug)
    chosen, missing = _chosen(request, project)
    found = _compared(chosen)
    context: dict[str, Any] = {
        "project": project,
        "fits": queries.fits_of(project),
        "chosen": {fit.pk for fit in chosen},
        "found": found,
        "missing": missing,
        "unfinished": [fit for fit in chosen if fit.pk not in {one.fit.pk for one in found}],
        "most": MOST,
        "crumbs": [{"label": "Scaling", "url": reverse("scaling", args=[slug])}, {"label": "Compare"}],
    }
    if found:
        context |= _shown(request, project, found)
    if is_fragment(request):
        return render(request, "parts/fit_answer.html", context)
    return render(request, "pages/fits_compare.html", context)


@require_safe
@login_required
def figure(request: PageRequest, slug: str, chart: str) -> HttpResponse:
    """The curves of the chosen fits, for static/js/charts.js, or their numbers with `?format=csv`."""
    project = project_for(request, slug)
    try:
        drawn = panels.figure_of_several(chart, _compared(_chosen(request, project)[0]))
    except KeyError:
        raise Http404(f"There is no figure {chart} of these fits.") from None
    if request.GET.get("format") == "csv":
        return file_of(csv_of_figure(drawn), f"{chart}.csv", "text/csv")
    return JsonResponse(drawn)


def _shown(request: PageRequest, project: Project, found: list[Compared]) -> dict[str, Any]:
    cautions = comparing.cautions_of(found)
    fields, known = comparing.fields_of(found, request.GET.dict())
    return {
        "cautions": cautions.sentences if len(found) > 1 else [],
        "tables": [comparing.measures(found, cautions), comparing.parameters(found)],
        "fields": fields,
        "answer_table": comparing.predictions(found, known),
        "ask_url": reverse("fits-compare", args=[project.slug]),
        "ask_also": [("fits", str(one.fit.pk)) for one in found],
        "panels": panels.of_several(project, found),
    }


def _chosen(request: PageRequest, project: Project) -> tuple[list[Fit], int]:
    """The fits asked for, in their order, and how many of these are not there. Ticked boxes come one by one."""
    asked = [part.strip() for text in request.GET.getlist("fits") for part in text.split(",")]
    numbers = dict.fromkeys(int(part) for part in asked if part.isdecimal() and len(part) < 18)
    found = [queries.fit_of(project, number) for number in list(numbers)[:MOST]]
    return [fit for fit in found if fit is not None], sum(fit is None for fit in found)


def _compared(fits: list[Fit]) -> list[Compared]:
    """Those of which a revision has succeeded."""
    latest = [(fit, queries.latest(fit)) for fit in fits]
    readings = [(fit, reading.read(revision.run)) for fit, revision in latest if revision]
    return [Compared(fit, told) for fit, told in readings if told is not None]
