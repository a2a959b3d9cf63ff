from __future__ import annotations

import math
import re
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
from webapp.runs.states import ACTIVE
from webapp.sweeps.comparison.address import parts
from webapp.sweeps.comparison.choosing import Chosen, choose, usual_metric
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import visible

MOST_POINTS = 4000
FIRST_POINTS = 2400  # before the page knows how wide its charts are
MOST_AXES = 200


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
        "metrics": [(name, _data_url(request, asked, name)) for name in found.metrics],
        "live": [run.pk for run in found.runs if run.status in ACTIVE],
        "known": list(found.chosen.metrics)[:500],
        "selects": selects(asked, list(found.chosen.metrics)[:MOST_AXES]),
        "legend": legend(asked, found.runs),
        "csv_url": reverse("compare-curves-csv") + query,
        "crumbs": [{"label": "Compare", "url": reverse("compare") + _choice(asked)}, {"label": "Curves"}],
    }
    return render(request, "pages/compare_curves.html", context, status=422 if found.errors else 200)


@require_safe
@login_required
def data(request: PageRequest) -> JsonResponse:
    """The lines of one chart, for static/js/curves.js: `from`, `to` in units of x, `points` a line.

    `since=12:800` asks for the points of run 12 from x = 800 on, and of no other run: an open page reads what is new.
    """
    found = _found(request)
    view = charts.View(
        x=found.asked.x,
        start=_number(request, "from"),
        stop=_number(request, "to"),
        points=int(min(max(_number(request, "points") or 1000, 8), MOST_POINTS)),
    )
    if found.errors or not found.metrics:
        return _refused(" ".join(found.errors) or "No metric is chosen.")
    since = _since(request)
    try:
        lines = charts.newer(found.runs, found.metrics[0], view, since) if since else _lines(found, view)
        return JsonResponse(charts.packed(lines) | {"live": [run.pk for run in found.runs if run.status in ACTIVE]})
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


def _data_url(request: PageRequest, asked: Curves, name: str) -> str:
    """Of the window that the page's address names."""
    window = {key: value for key in ("from", "to") if (value := _number(request, key)) is not None}
    return reverse("compare-curves-data") + asked.url_query(metrics=name, **window, points=FIRST_POINTS)


def _since(request: PageRequest) -> dict[int, float]:
    """By run, the x that the page has come to."""
    told = re.findall(r"(\d{1,18}):(-?\d[\d.e+-]*)", request.GET.get("since", ""), re.ASCII)
    return {int(run_id): float(x) for run_id, x in told[:MOST_RUNS] if _is_number(x)}


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
    told = request.GET.get(name, "")
    return float(told) if _is_number(told) else None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _refused(message: str) -> JsonResponse:
    return JsonResponse({"detail": message}, status=422)
