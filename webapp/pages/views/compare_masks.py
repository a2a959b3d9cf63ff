from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from webapp.accounts.errors import Invalid
from webapp.charts import masks as charts
from webapp.charts.sweeps import look
from webapp.http import PageRequest
from webapp.pages.compare import masks as page
from webapp.pages.compare.asked import Asked
from webapp.runs.models import Run
from webapp.runs.queries import visible
from webapp.sweeps.comparison.choosing import LARGEST_ID
from webapp.sweeps.comparison.masks import overlap


@require_safe
@login_required
def masks(request: PageRequest) -> HttpResponse:
    """Which weights two and more runs have both kept: `?runs=1,2`."""
    runs = _runs(request)
    context = {
        "runs": [(run, page.name_of(run)) for run in runs],
        "crumbs": [
            {"label": "Compare", "url": reverse("compare") + _query(runs)},
            {"label": "Masks"},
        ],
        "query": _query(runs),
    }
    if not runs:
        return render(request, "pages/compare_masks.html", context)
    try:
        found = overlap(runs)
    except Invalid as error:
        return render(request, "pages/compare_masks.html", {**context, "errors": [str(error)]}, status=422)
    context["tables"] = page.tables(found, {run.pk: run for run in runs})
    return render(request, "pages/compare_masks.html", context)


@require_safe
@login_required
def figure(request: PageRequest, name: str) -> JsonResponse:
    """`whole` or `layers`, for static/js/charts.js."""
    if name not in ("whole", "layers"):
        raise Http404(f"There is no figure {name}.")
    runs = _runs(request)
    if not runs:
        return JsonResponse(look.empty("No runs are chosen."))
    try:
        found = overlap(runs)
    except Invalid as error:
        return JsonResponse({"detail": str(error), "errors": error.errors}, status=422)
    if name == "layers":
        return JsonResponse(charts.figure(charts.layers(found), "runs"))
    return JsonResponse(charts.figure(charts.whole(found, {run.pk: page.name_of(run) for run in runs})))


def _runs(request: PageRequest) -> list[Run]:
    """In the order of the address. Raises Http404 where one is not there, or not theirs to see."""
    asked, _ = Asked.of(request.GET)
    numbers = [number for number in asked.choice.runs if 0 < number <= LARGEST_ID]
    found = {run.pk: run for run in visible(request.user).filter(pk__in=numbers)}
    if lacking := [number for number in asked.choice.runs if number not in found]:
        raise Http404(f"There is no run {lacking[0]}; it may have been deleted.")
    return [found[number] for number in numbers]


def _query(runs: list[Run]) -> str:
    return f"?runs={','.join(str(run.pk) for run in runs)}" if runs else ""
