from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Role
from webapp.accounts.roles import allows
from webapp.charts import protocols as charts
from webapp.http import PageRequest, project_for
from webapp.pages.protocols import listing, tables
from webapp.pages.sweeps.segments import segments_of
from webapp.sweeps import queries, studies
from webapp.sweeps.measures.outcomes import Result
from webapp.sweeps.studies import Study


@require_safe
@login_required
def protocols(request: PageRequest, slug: str) -> HttpResponse:
    """What there is to ask, what each costs, and what this project has asked."""
    project = project_for(request, slug)
    context = {
        "project": project,
        "rows": listing.rows(),
        "studies": listing.study_rows(project),
        "may_edit": allows(request.user, project, Role.EDITOR),
    }
    return render(request, "pages/protocols.html", context)


@require_safe
@login_required
def study(request: PageRequest, slug: str, group: str) -> HttpResponse:
    """What a study shows so far: charts, then every number as tables, then its sweeps."""
    found = study_for(request, slug, group)
    counts = queries.counts_of([sweep.pk for sweep in found.sweeps])
    context = {
        **_progress(found),
        "charts": charts.charts_of(found.entry.name),
        "next": _next(request, found),
        "knobs": [(name, tables.written(value)) for name, value in found.knobs if name != "name"],
        "sweeps": [(sweep, segments_of(counts[sweep.pk], sweep.definition["trials"])) for sweep in found.sweeps],
        "crumbs": [
            {"label": "Protocols", "url": reverse("protocols", args=[slug])},
            {"label": found.entry.title, "url": reverse("protocol", args=[slug, found.entry.name])},
            {"label": found.title},
        ],
    }
    return render(request, "pages/protocol_study.html", context)


@require_POST
@login_required
def go_on(request: PageRequest, slug: str, group: str) -> HttpResponse:
    """Starts what the protocol measures of the finished runs."""
    found = study_for(request, slug, group, Role.EDITOR)
    try:
        sweeps = studies.go_on(found, request.user)
    except Invalid as error:
        messages.error(request, str(error))
    else:
        trials = sum(int(sweep.definition["trials"]) for sweep in sweeps)
        messages.success(request, f"{found.title} goes on: {trials} trial{'s' if trials > 1 else ''} more.")
    return redirect("protocol-study", slug, group)


@require_safe
@login_required
def progress(request: PageRequest, slug: str, group: str) -> HttpResponse:
    """The numbers alone: what the page asks for again while trials run."""
    return render(request, "parts/protocol_progress_update.html", _progress(study_for(request, slug, group)))


@require_safe
@login_required
def figure(request: PageRequest, slug: str, group: str, chart: str) -> JsonResponse:
    found = study_for(request, slug, group)
    if chart not in [one.name for one in charts.charts_of(found.entry.name)]:
        raise Http404(f"There is no figure {chart}.")
    try:
        return JsonResponse(charts.figure_of(chart, studies.analysed(found), found.knobs))
    except Invalid as error:
        return JsonResponse({"detail": str(error), "errors": error.errors}, status=422)


def study_for(request: PageRequest, slug: str, group: str, needed: Role = Role.VIEWER) -> Study:
    project = project_for(request, slug, needed)
    found = studies.study(project, group)
    if found is None:
        raise Http404(f"There is no such study in {project.name}; its sweeps may have been deleted.")
    return found


def _next(request: PageRequest, found: Study) -> str:
    """What the button says with which the study goes on; "" where it does not, or not for them."""
    may_edit = allows(request.user, request.project, Role.EDITOR)
    return str(getattr(found.entry.module, "FOLLOW_UP", "Go on")) if may_edit and studies.next_of(found) else ""


def _progress(found: Study) -> dict[str, Any]:
    """A result that the protocol refuses to tell is a sentence."""
    try:
        result, refusal = studies.analysed(found), ""
    except Invalid as error:
        result, refusal = Result(), str(error)
    row = listing.study_row(found)
    return {
        "study": found,
        "project": found.sweeps[0].project,
        "row": row,
        "segments": row.segments,
        "facts": [*tables.outcome_facts(result.outcomes), *tables.value_facts(result)],
        "notes": result.notes,
        "refusal": refusal,
        "tables": tables.tables(result),
        "news": f"{row.done} {row.status} {result.outcomes.succeeded}",
    }
