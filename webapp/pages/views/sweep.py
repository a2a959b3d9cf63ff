from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from webapp.accounts.models import Role
from webapp.accounts.roles import allows
from webapp.charts import sweeps as charts_of_sweeps
from webapp.http import PageRequest, is_fragment, project_for, respond
from webapp.pages.forms import dimensions
from webapp.pages.sweeps import describe, facts, notes
from webapp.pages.sweeps import trials as tables
from webapp.pages.sweeps.segments import segments_of
from webapp.sweeps import queries
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Sweep
from webapp.sweeps.states import LIVE, OVER, SweepStatus, TrialStatus

TABS = {
    "charts": ("sweep", "Charts"),
    "trials": ("sweep-trials", "Trials"),
    "timeline": ("sweep-timeline", "Timeline"),
    "config": ("sweep-config", "Config"),
    "events": ("sweep-events", "Events"),
}
TIMELINE = "timeline"  # the chart that has a tab of its own
MOST_EVENTS = 500


def sweep_for(request: PageRequest, slug: str, sweep_id: int, needed: Role = Role.VIEWER) -> Sweep:
    """The sweep at this address, if it is there and theirs to see; PermissionDenied when the role is too low."""
    project = project_for(request, slug, needed)
    sweeps = Sweep.objects.select_related("project", "created_by", "schedule")
    found = sweeps.filter(project=project, pk=sweep_id, deleted_at=None).first() if sweep_id < 2**63 else None
    if found is None:
        raise Http404(f"There is no sweep {sweep_id} in {project.name}; it may have been deleted.")
    return found


@require_safe
@login_required
def charts(request: PageRequest, slug: str, sweep_id: int) -> HttpResponse:
    sweep = sweep_for(request, slug, sweep_id)
    checked = queries.definition(sweep)
    shown = [chart for chart in charts_of_sweeps.charts_of(checked) if chart.name != TIMELINE]
    panels = [(chart, charts_of_sweeps.options_of(chart.name, sweep)) for chart in shown]
    return _tab(request, sweep, checked, "charts", {"panels": panels})


@require_safe
@login_required
def trials(request: PageRequest, slug: str, sweep_id: int) -> HttpResponse:
    sweep = sweep_for(request, slug, sweep_id)
    checked = queries.definition(sweep)
    query = tables.Query.of(request.GET)
    extra = {
        "table": tables.table(sweep, checked, query),
        "query": query,
        "statuses": tables.STATUSES,
        "has_front": len(checked.objective) > 1,
    }
    if is_fragment(request):
        may_edit = allows(request.user, sweep.project, Role.EDITOR)
        context = {
            "sweep": sweep,
            "project": sweep.project,
            "may_edit": may_edit,
            "is_live": sweep.status in LIVE,
            **extra,
        }
        return render(request, "parts/trial_table.html", context)
    return _tab(request, sweep, checked, "trials", extra)


@require_safe
@login_required
def timeline(request: PageRequest, slug: str, sweep_id: int) -> HttpResponse:
    sweep = sweep_for(request, slug, sweep_id)
    chart = charts_of_sweeps.charts()[TIMELINE]
    extra = {"chart": chart, "options": charts_of_sweeps.options_of(TIMELINE, sweep)}
    return _tab(request, sweep, queries.definition(sweep), "timeline", extra)


@require_safe
@login_required
def config(request: PageRequest, slug: str, sweep_id: int) -> HttpResponse:
    sweep = sweep_for(request, slug, sweep_id)
    checked = queries.definition(sweep)
    extra = {
        "values": describe.values_of(checked),
        "space": dimensions.rows_of(sweep.definition["search"]["space"]),
        "constraints": checked.search.constraints,
        "spec": describe.spec_of(checked),
        "text": json.dumps(checked.model_dump(mode="json"), indent=2, ensure_ascii=False),
    }
    return _tab(request, sweep, checked, "config", extra)


@require_safe
@login_required
def events(request: PageRequest, slug: str, sweep_id: int) -> HttpResponse:
    """The last ones, newest first."""
    sweep = sweep_for(request, slug, sweep_id)
    told = sweep.events.select_related("by").order_by("-id")[:MOST_EVENTS]
    return _tab(request, sweep, queries.definition(sweep), "events", {"events": told})


@require_safe
@login_required
def head(request: PageRequest, slug: str, sweep_id: int) -> HttpResponse:
    """Name, state, actions, facts and notes: what the page asks for again while the sweep is live."""
    sweep = sweep_for(request, slug, sweep_id)
    return render(request, "parts/sweep_head_update.html", _context(request, sweep, queries.definition(sweep), ""))


def _tab(request: PageRequest, sweep: Sweep, checked: Definition, tab: str, extra: dict[str, Any]) -> HttpResponse:
    tab_template = f"parts/sweep_{tab}.html"
    context = {**_context(request, sweep, checked, tab), **extra, "tab_template": tab_template}
    return respond(request, "pages/sweep.html", tab_template, context)


def _context(request: PageRequest, sweep: Sweep, checked: Definition, tab: str) -> dict[str, Any]:
    slug, counts = sweep.project.slug, queries.counts(sweep)
    told = facts.standing(sweep, checked, counts)
    may_edit = allows(request.user, sweep.project, Role.EDITOR)
    return {
        "sweep": sweep,
        "project": sweep.project,
        "facts": told.facts,
        "notes": notes.notes_of(sweep, checked, counts, told.spent),
        "segments": segments_of(counts, checked.trials),
        "news": f"{sweep.status} {sweep.revision} {counts}",
        "sampler": checked.search.sampler.name,
        "may_edit": may_edit,
        "possible": possible(sweep, counts) if may_edit else {},
        "is_live": sweep.status in LIVE,
        "api": f"/api/v1/sweeps/{sweep.pk}",
        "tabs": [_tab_link(sweep, key, tab, counts["total"]) for key in TABS],
        "crumbs": [{"label": "Sweeps", "url": reverse("sweeps", args=[slug])}, {"label": sweep.name}],
    }


def _tab_link(sweep: Sweep, key: str, current: str, trials: int) -> dict[str, Any]:
    name, label = TABS[key]
    return {
        "label": label,
        "url": reverse(name, args=[sweep.project.slug, sweep.pk]),
        "current": key == current,
        "count": f"{trials:,}" if key == "trials" and trials else None,
    }


def possible(sweep: Sweep, counts: dict[str, int]) -> dict[str, bool]:
    """Which buttons its state allows."""
    return {
        "pause": sweep.status in (SweepStatus.RUNNING, SweepStatus.REPORTING),
        "resume": sweep.status == SweepStatus.PAUSED,
        "stop": sweep.status in LIVE,
        "extend": sweep.status in OVER or sweep.status == SweepStatus.RUNNING,
        "requeue": counts[TrialStatus.FAILED] > 0,
        "change": True,
    }
