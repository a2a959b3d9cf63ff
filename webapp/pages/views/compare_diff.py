from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from webapp.accounts.errors import Invalid
from webapp.http import PageRequest, project_for
from webapp.pages.compare.diff import MOST_METRICS, NOT_MINE, Differences, heads, metric_rows, setting_rows
from webapp.sweeps.comparison.choosing import Chosen, choose
from webapp.sweeps.comparison.diff import MOST_RUNS, Diff, diff, side_by_side
from webapp.sweeps.queries import visible


@require_safe
@login_required
def differences(request: PageRequest) -> HttpResponse:
    """Runs side by side: the settings in which they differ, and what each measured against the baseline."""
    asked, errors = Differences.of(request.GET)
    chosen = Chosen([], 0, [], {})
    try:
        chosen = _chosen(request, asked)
    except Invalid as error:
        errors.append(str(error))
    runs = side_by_side(chosen.runs, asked.choice.runs)
    found = diff(runs, asked.baseline, names=asked.names, aggregates=asked.aggregates, limit=MOST_METRICS)
    back = asked.url_query(**dict.fromkeys(NOT_MINE))
    context: dict[str, Any] = {
        "asked": asked,
        "errors": errors,
        "runs": found.runs,
        "notes": _notes(chosen, found),
        "crumbs": [{"label": "Compare", "url": reverse("compare") + back}, {"label": "Differences"}],
    }
    if found.runs:
        context |= _shown(asked, found)
    return render(request, "pages/compare_diff.html", context, status=422 if errors else 200)


def _shown(asked: Differences, found: Diff) -> dict[str, Any]:
    return {
        "heads": heads(asked, found),
        "differing": setting_rows(found, found.differing),
        "same": setting_rows(found, found.same),
        "metrics": metric_rows(found),
        "json_url": reverse("api:compare_settings")
        + asked.url_query(**dict.fromkeys((*NOT_MINE, "x", "sort", "page"))),
    }


def _notes(chosen: Chosen, found: Diff) -> list[str]:
    notes = []
    if chosen.found > len(found.runs):
        notes.append(
            f"{chosen.found:,} runs are like this, and {MOST_RUNS} stand side by side: the others are left out."
        )
    if chosen.missing:
        notes.append(f"Not there, or not yours to see: run {', '.join(map(str, chosen.missing[:12]))}.")
    if found.found > MOST_METRICS:
        notes.append(f"{found.found:,} metrics were logged; these are the first {MOST_METRICS}. Name others below.")
    return notes


def _chosen(request: PageRequest, asked: Differences) -> Chosen:
    """Raises Http404 where its project or sweep is not theirs to see."""
    sweep = visible(request.user).filter(pk=asked.sweep).first() if asked.sweep is not None else None
    if asked.sweep is not None and sweep is None:
        raise Http404(f"There is no sweep {asked.sweep}; it may have been deleted.")
    project = project_for(request, asked.project) if asked.project else None
    if sweep is not None and project is None:
        project_for(request, sweep.project.slug)
    return choose(request.user, asked.choice, project, sweep)
