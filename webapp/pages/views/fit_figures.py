from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from webapp.accounts.errors import Invalid
from webapp.charts.theme import Json
from webapp.http import PageRequest
from webapp.pages.scaling import panels
from webapp.pages.scaling.exporting import csv_of_figure, csv_of_points
from webapp.pages.views.fit import fit_for, reading_of, shown_of
from webapp.pages.views.run import run_for
from webapp.runs.models import Run
from webapp.scaling import reading
from webapp.scaling.reading import Reading

FORMS = ("csv", "json", "spec")


@require_safe
@login_required
def figure(request: PageRequest, slug: str, fit_id: int, chart: str) -> HttpResponse:
    """A figure for static/js/charts.js, or its lines and dots with `?format=csv`; what it is asked is in the query."""
    fit = fit_for(request, slug, fit_id)
    if chart == panels.LATER:
        return _answer(request, chart, panels.figure_of_later(fit))
    return _figure(request, chart, reading_of(shown_of(request, fit)))


@require_safe
@login_required
def of_run(request: PageRequest, slug: str, run_id: int, chart: str) -> HttpResponse:
    """The same of a run that belongs to no fit, or to one that has gone."""
    return _figure(request, chart, reading.read(run_for(request, slug, run_id)))


def _figure(request: PageRequest, chart: str, read: Reading | None) -> HttpResponse:
    if read is None:
        raise Http404("There is nothing to draw: no fit has ended well.")
    asked = {name: value for name, value in request.GET.dict().items() if name not in ("format", "revision")}
    try:
        drawn = panels.figure_of(chart, read, asked)
    except KeyError:
        raise Http404(f"There is no figure {chart}.") from None
    except Invalid as error:
        return JsonResponse({"detail": str(error), "errors": error.errors}, status=422)
    return _answer(request, chart, drawn)


def _answer(request: PageRequest, chart: str, drawn: Json) -> HttpResponse:
    if request.GET.get("format") == "csv":
        return file_of(csv_of_figure(drawn), f"{chart}.csv", "text/csv")
    return JsonResponse(drawn)


@require_safe
@login_required
def export(request: PageRequest, slug: str, fit_id: int, form: str) -> HttpResponse:
    """The revision that is shown: its points as CSV, its result or the spec that repeats it as JSON."""
    fit = fit_for(request, slug, fit_id)
    shown = shown_of(request, fit)
    if form not in FORMS or shown is None or not shown.run.result:
        raise Http404("There is nothing to export." if form in FORMS else f"There is no form {form}.")
    stem = f"fit-{fit.pk}-{shown.number}"
    if form == "csv":
        return file_of(csv_of_points(shown.run.result), f"{stem}.csv", "text/csv")
    told: Any = shown.run.spec if form == "spec" else {"fit": fit.pk, "revision": shown.number, **_told(shown.run)}
    return file_of(json.dumps(told, indent=2, ensure_ascii=False), f"{stem}-{form}.json", "application/json")


def _told(run: Run) -> dict[str, Any]:
    return {"run": run.pk, "spec": run.spec, "result": run.result}


def file_of(content: str, name: str, kind: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(content, content_type=f"{kind}; charset=utf-8", headers=headers)
