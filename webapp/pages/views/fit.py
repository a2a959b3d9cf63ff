from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from webapp.accounts.models import Role
from webapp.accounts.roles import allows
from webapp.http import PageRequest, is_fragment, project_for, respond
from webapp.pages.runs.describe import spec_in_order
from webapp.pages.scaling import asked, panels
from webapp.pages.scaling import points as point_rows
from webapp.pages.scaling import revisions as revision_rows
from webapp.pages.scaling.fits import command_of, law_of, short, source_of
from webapp.pages.scaling.heads import Head, head_of
from webapp.pages.scaling.listing import ladder_url
from webapp.pages.scaling.result import fitted_of
from webapp.runs.models import Run
from webapp.scaling import queries, reading
from webapp.scaling.models import Fit, Ladder, Revision
from webapp.scaling.reading import Reading

TABS = {
    "charts": ("fit", "Charts"),
    "numbers": ("fit-numbers", "Numbers"),
    "points": ("fit-points", "Points"),
    "revisions": ("fit-revisions", "Revisions"),
    "spec": ("fit-spec", "Spec"),
}

LONGEST_TEXT = 20_000  # a spec with a long table in it is no text to read


def fit_for(request: PageRequest, slug: str, fit_id: int, needed: Role = Role.VIEWER) -> Fit:
    """The fit at this address, if it is there and theirs to see; PermissionDenied when the role is too low."""
    project = project_for(request, slug, needed)
    found = queries.fit_of(project, fit_id) if fit_id < 2**63 else None
    if found is None:
        raise Http404(f"There is no fit {fit_id} in {project.name}; it may have been deleted.")
    return found


def shown_of(request: PageRequest, fit: Fit) -> Revision | None:
    """The revision that is asked for with `?revision=`, else the latest that succeeded. Raises Http404."""
    asked_for = request.GET.get("revision", "")
    if not asked_for:
        return queries.latest(fit)
    number = int(asked_for) if asked_for.isdecimal() and len(asked_for) < 10 else 0
    found = queries.revisions(fit).filter(number=number).first()
    if found is None:
        raise Http404(f"{fit.name} has no revision {asked_for}.")
    return found


def reading_of(shown: Revision | None) -> Reading | None:
    return reading.read(shown.run) if shown else None


@require_safe
@login_required
def charts(request: PageRequest, slug: str, fit_id: int) -> HttpResponse:
    """Its charts, and what it says to a point and to a budget that a reader asks for."""
    fit = fit_for(request, slug, fit_id)
    shown = shown_of(request, fit)
    read = reading_of(shown)
    extra: dict[str, Any] = {"read": read}
    if shown is not None and read is not None:
        told = asked.asked_of(read, request.GET.dict())
        extra |= {"panels": panels.of_fit(fit, shown, read), "fields": told.fields, "answer_facts": told.facts}
    if is_fragment(request) and request.htmx.target == "answer":
        return render(request, "parts/fit_answer.html", extra)
    return _tab(request, fit, shown, "charts", extra)


@require_safe
@login_required
def numbers(request: PageRequest, slug: str, fit_id: int) -> HttpResponse:
    """Parameters, predictions and whatever else the result tells, as tables."""
    fit = fit_for(request, slug, fit_id)
    return _tab(request, fit, shown_of(request, fit), "numbers", {})


@require_safe
@login_required
def points(request: PageRequest, slug: str, fit_id: int) -> HttpResponse:
    fit = fit_for(request, slug, fit_id)
    shown = shown_of(request, fit)
    table = point_rows.table_of(shown.run) if shown and shown.run.result else None
    return _tab(request, fit, shown, "points", {"table": table})


@require_safe
@login_required
def revisions(request: PageRequest, slug: str, fit_id: int) -> HttpResponse:
    fit = fit_for(request, slug, fit_id)
    rows = revision_rows.rows_of(fit)
    extra = {"rows": rows, "labels": revision_rows.labels_of(rows)}
    return _tab(request, fit, shown_of(request, fit), "revisions", extra)


@require_safe
@login_required
def spec(request: PageRequest, slug: str, fit_id: int) -> HttpResponse:
    fit = fit_for(request, slug, fit_id)
    values = spec_in_order(Run(kind="scaling_fit", spec=fit.spec))
    text = json.dumps(values, indent=2, ensure_ascii=False)
    extra = {
        "values": short(values),
        "text": text if len(text) <= LONGEST_TEXT else "",
        "command": command_of(fit.spec),
    }
    return _tab(request, fit, shown_of(request, fit), "spec", extra)


@require_safe
@login_required
def head(request: PageRequest, slug: str, fit_id: int) -> HttpResponse:
    """Name, state, actions, facts and notes: what the page asks for again while a revision is under way."""
    fit = fit_for(request, slug, fit_id)
    return render(request, "parts/fit_head_update.html", _context(request, fit, shown_of(request, fit), ""))


def _tab(request: PageRequest, fit: Fit, shown: Revision | None, tab: str, extra: dict[str, Any]) -> HttpResponse:
    tab_template = f"parts/fit_{tab}.html"
    context = {**_context(request, fit, shown, tab), **extra, "tab_template": tab_template}
    return respond(request, "pages/fit.html", tab_template, context)


def _context(request: PageRequest, fit: Fit, shown: Revision | None, tab: str) -> dict[str, Any]:
    slug = fit.project.slug
    top: Head = head_of(fit, shown, queries.pending(fit))
    asked_for = request.GET.get("revision", "")
    ladder = Ladder.objects.filter(fit=fit, deleted_at=None).select_related("project").first()
    return {
        "fit": fit,
        "project": fit.project,
        "shown": shown,
        "head": top,
        "fitted": fitted_of(shown.run) if shown else None,
        "law": law_of(fit.spec),
        "source": source_of(fit.spec),
        "ladder": ladder,
        "ladder_url": ladder_url(ladder) if ladder else "",
        "query": f"?{urlencode({'revision': asked_for})}" if asked_for else "",
        "ask_url": reverse("fit", args=[slug, fit.pk]),
        "ask_also": [("revision", asked_for)] if asked_for else [],
        "may_edit": allows(request.user, fit.project, Role.EDITOR),
        "tabs": [_tab_link(fit, key, tab, asked_for) for key in TABS],
        "crumbs": [{"label": "Scaling", "url": reverse("scaling", args=[slug])}, {"label": fit.name}],
    }


def _tab_link(fit: Fit, key: str, current: str, asked_for: str) -> dict[str, Any]:
    name, label = TABS[key]
    url = reverse(name, args=[fit.project.slug, fit.pk])
    count = queries.revisions(fit).count() if key == "revisions" else 0
    return {
        "label": label,
        "url": f"{url}?{urlencode({'revision': asked_for})}" if asked_for else url,
        "current": key == current,
        "count": count if count > 1 else None,
    }
