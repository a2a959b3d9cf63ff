from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project
from webapp.accounts.roles import projects_of
from webapp.charts import comparison as charts
from webapp.http import PageRequest, project_for
from webapp.pages.compare import choices, facts, table
from webapp.pages.compare.asked import ALL, Asked
from webapp.sweeps.comparison.answering import Answer, answer
from webapp.sweeps.comparison.exporting import csv_of
from webapp.sweeps.comparison.masks import MOST_RUNS, has_masks
from webapp.sweeps.comparison.measured import MEASURES
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import visible

NOT_OF_CURVES = ("goal", "baseline", "budget", "tolerance", "test", "x", "sort", "page")
NOT_OF_DIFF = ("metric", "goal", "budget", "tolerance", "test", "group", "x", "sort", "page")


@require_safe
@login_required
def compare(request: PageRequest) -> HttpResponse:
    """Runs side by side; with nothing chosen, how to choose."""
    asked, errors = Asked.of(request.GET)
    try:
        found, asked = _answered(request, asked), asked
    except Invalid as error:
        errors.append(str(error))
        asked = asked.model_copy(update={"status": ""})
        found = _answered(request, asked)
    context = {
        "asked": asked,
        "errors": errors,
        "found": found.chosen,
        "form": choices.form(asked, found, list(projects_of(request.user))),
        "crumbs": [{"label": "Compare"}],
    }
    if found.chosen.runs:
        context |= _shown(asked, found)
    return render(request, "pages/compare.html", context, status=422 if errors else 200)


@require_safe
@login_required
def figure(request: PageRequest, name: str) -> JsonResponse:
    """Quality against one measure, for static/js/charts.js; what is compared is in the query."""
    if name not in MEASURES:
        raise Http404(f"There is no figure {name}.")
    asked, found = _asked_exactly(request)
    drawn = charts.data(found.comparison, name)
    return JsonResponse(charts.figure(drawn, is_small=asked.x == ALL))


@require_safe
@login_required
def csv(request: PageRequest) -> HttpResponse:
    """The table as a file: all groups, every number in full."""
    _, found = _asked_exactly(request)
    return HttpResponse(
        csv_of(found.comparison),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="comparison.csv"'},
    )


def _asked_exactly(request: PageRequest) -> tuple[Asked, Answer]:
    """Raises Http404 for an address that can't be: what it would show is not what was asked."""
    asked, errors = Asked.of(request.GET)
    try:
        found = _answered(request, asked)
    except Invalid as error:
        errors.append(str(error))
    if errors:
        raise Http404(" ".join(errors))
    return asked, found


def _answered(request: PageRequest, asked: Asked) -> Answer:
    """Raises Http404 where its project or sweep is not theirs to see."""
    sweep = _sweep(request, asked.sweep) if asked.sweep is not None else None
    project: Project | None = project_for(request, asked.project) if asked.project else None
    if sweep is not None and project is None:
        project_for(request, sweep.project.slug)
    return answer(request.user, asked, project, sweep)


def _sweep(request: PageRequest, sweep_id: int) -> Sweep:
    found = visible(request.user).filter(pk=sweep_id).first()
    if found is None:
        raise Http404(f"There is no sweep {sweep_id}; it may have been deleted.")
    return found


def _shown(asked: Asked, found: Answer) -> dict[str, Any]:
    comparison = found.comparison
    measures = table.measured(comparison)
    names = [one.name for one in measures]
    chosen = asked.x if asked.x in (ALL, *names) else next(iter(names), "")
    return {
        "comparison": comparison,
        "facts": facts.facts_of(comparison),
        "tabs": choices.tabs(asked, measures, chosen),
        "panels": [one for one in measures if chosen in (ALL, one.name)],
        "is_small": chosen == ALL,
        "figure_query": asked.url_query(x=chosen, sort=None, page=None),
        "unmeasured": [one.label for name, one in MEASURES.items() if name not in names and one.is_usual],
        "missing_levels": [level for level in comparison.levels if level.value is None],
        "table": table.table(comparison, asked, {run.pk: run for run in found.chosen.runs}),
        "masks_url": _masks_url(found),
        "curves_url": reverse("compare-curves") + asked.url_query(**dict.fromkeys(NOT_OF_CURVES)),
        "diff_url": reverse("compare-diff") + asked.url_query(**dict.fromkeys(NOT_OF_DIFF)),
        "csv_url": reverse("compare-csv") + asked.url_query(x=None, sort=None, page=None),
        "json_url": reverse("api:compare_runs") + asked.url_query(x=None, sort=None, page=None),
    }


def _masks_url(found: Answer) -> str:
    """Where the masks of these runs are held against each other; "" where fewer than two have any."""
    runs = has_masks(found.chosen.runs)[:MOST_RUNS]
    return f"{reverse('compare-masks')}?runs={','.join(str(run.pk) for run in runs)}" if len(runs) > 1 else ""
