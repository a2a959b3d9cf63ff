from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, JsonResponse
from django.views.decorators.http import require_safe

from webapp.accounts.errors import Invalid
from webapp.charts import sweeps as charts
from webapp.http import PageRequest
from webapp.pages.views.sweep import sweep_for


@require_safe
@login_required
def figure(request: PageRequest, slug: str, sweep_id: int, name: str) -> JsonResponse:
    """A figure for static/js/charts.js; the chart's options are in the query."""
    sweep = sweep_for(request, slug, sweep_id)
    if name not in charts.charts():
        raise Http404(f"There is no figure {name}.")
    try:
        return JsonResponse(charts.figure_of(name, sweep, request.GET.dict()))
    except Invalid as error:
        return JsonResponse({"detail": str(error), "errors": error.errors}, status=422)
