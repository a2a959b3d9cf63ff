from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from webapp.charts import histograms
from webapp.http import PageRequest
from webapp.metrics.media import queries
from webapp.pages.runs.media import panels_of
from webapp.pages.views.run import attempts_of, run_for, tab_of


@require_safe
@login_required
def media(request: PageRequest, slug: str, run_id: int) -> HttpResponse:
    """Pictures and histograms, a panel a series."""
    run = run_for(request, slug, run_id)
    return tab_of(request, run, "media", attempts_of(run), {"media_panels": panels_of(run)})


@require_safe
@login_required
def figure(request: PageRequest, slug: str, run_id: int) -> JsonResponse:
    """A figure for static/js/media.js: the histogram `?name=` at `&step=`, by default the last; `&over=time` all."""
    run = run_for(request, slug, run_id)
    name, step = request.GET.get("name", "").replace("\x00", ""), request.GET.get("step", "")
    if request.GET.get("over") == "time":
        return JsonResponse(histograms.over_time(queries.spread(run.pk, name)))
    item = queries.item_at(run.pk, name, int(step) if step.isdecimal() and len(step) < 19 else None)
    if item is None or item.edges is None:
        raise Http404(f"There is no histogram {name} here.")
    return JsonResponse(histograms.bars(queries.histogram_of(item)))
