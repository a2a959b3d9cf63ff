from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from webapp.accounts.errors import Invalid
from webapp.api.streaming import attachment
from webapp.charts import curves as charts
from webapp.http import PageRequest, project_for
from webapp.metrics.errors import Invalid as InvalidMetric
from webapp.pages.compare.curves import MOST_RUNS, Curves, legend, rows, selects
from webapp.runs.models import Run
from webapp.sweeps.comparison.address import parts
from webapp.sweeps.comparison.choosing import Chosen, choose, usual_metric
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import visible

MOST_POINTS = 4000


class Found(NamedTuple):
    asked: Curves
    chosen: Chosen
    runs: list[Run]
    metrics: list[str]
    errors: list[str]


@require_safe
@login_required
def curves(request: PageRequest) -> HttpResponse:
    """One metric or several of many runs, over steps, time, tokens, FLOPs or another metric."""
    found = _found(request)
    asked, query = found.asked, found.asked.url_query(page=None, sort=None)
    context: dict[str, Any] = {
        "asked": asked,
        "errors": found.errors,
        "runs": found.runs,
        "found": found.chosen.found,
        "metrics": [(name, reverse("compare-curves-data") + asked.url_query(metrics=name)) for name in found.metrics],
        "known": list(found.chosen.metrics)[:500],
        "selects": selects(asked),
        "legend": legend(asked, found.runs),
        "csv_url": reverse("compare-curves-csv") + query,
        "crumbs": [{"label": "Compare", "url": reverse("compare") + _choice(asked)}, {"label": "Curves"}],
    }
    return render(request, "pages/compare_curves.html", context, status=422 if found.errors else 200)


@require_safe
@login_required
def data(request: PageRequest) -> JsonResponse:
    """The lines of one chart, for static/js/curves.js: `from`, `to` in units of x, `points` a line."""
    found = _found(request)
    view = charts.View(
        x=found.asked.x,
        start=_number(request, "from"),
        stop=_number(request, "to"),
        points=int(min(max(_number(request, "points") or 1000, 8), MOST_POINTS)),
    )
    if found.errors or not found.metrics:
        return _refused(" ".join(found.errors) or "No metric is chosen.")
    try:
        return JsonResponse(charts.packed(_lines(found, view)))
    except InvalidMetric as error:
        return _refused(str(error))


@require_safe
@login_required
def csv(request: PageRequest) -> StreamingHttpResponse:
    """Every point of the chosen metrics as a file."""
    found = _found(request)
    if found.errors:
        raise Http404(" ".join(found.errors))
    return attachment(request, rows(found.runs, found.metrics), "curves.csv", content_type="text/csv; charset=utf-8")


def _lines(found: Found, view: charts.View) -> charts.CurvesData:
    asked, name = found.asked, found.metrics[0]
    if asked.band:
        return charts.grouped(found.runs, name, view, band=asked.band, group=parts(asked.group))
    return charts.data(found.runs, name, view, label=parts(asked.label))


def _found(request: PageRequest) -> Found:
    """Raises Http404 where its project or sweep is not theirs to see."""
    asked, errors = Curves.of(request.GET)
    sweep = visible(request.user).filter(pk=asked.sweep).first() if asked.sweep is not None else None
    if asked.sweep is not None and sweep is None:
        raise Http404(f"There is no sweep {asked.sweep}; it may have been deleted.")
    try:
        chosen = _chosen(request, asked, sweep)
    except Invalid as error:
        return Found(asked, Chosen([], 0, [], {}), [], [], [*errors, str(error)])
    runs = sorted(chosen.runs[:MOST_RUNS], key=lambda run: run.pk)
    metrics = asked.names or ([asked.metric or usual_metric(chosen.metrics)] if runs else [])
    return Found(asked, chosen, runs, metrics, errors)


def _chosen(request: PageRequest, asked: Curves, sweep: Sweep | None) -> Chosen:
    project = project_for(request, asked.project) if asked.project else None
    if sweep is not None and project is None:
        project_for(request, sweep.project.slug)
    return choose(request.user, asked.choice, project, sweep)


def _choice(asked: Curves) -> str:
    """The same runs on the page that compares them."""
    own = Curves.model_fields.keys() - {"runs", "project", "q", "status", "kind", "tag", "sweep"}
    return asked.url_query(**dict.fromkeys(own))


def _number(request: PageRequest, name: str) -> float | None:
    try:
        value = float(request.GET.get(name, ""))
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def _refused(message: str) -> JsonResponse:
    return JsonResponse({"detail": message}, status=422)
