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
from webapp.charts import memory
from webapp.http import PageRequest, project_for, respond
from webapp.metrics import catalogue
from webapp.metrics.layouts import chosen, layouts_of
from webapp.metrics.media import catalogue as media
from webapp.metrics.queries import summaries
from webapp.pages.runs import artifacts, describe, facts, notes, panels
from webapp.pages.runs.merged import merged_of
from webapp.pages.runs.shrunk import shrunk_of
from webapp.pages.scaling import panels as fit_panels
from webapp.pages.scaling.result import fitted_of
from webapp.runs import news
from webapp.runs.models import Artifact, Attempt, LogLine, Run
from webapp.runs.states import FINAL, PAUSABLE, REQUEUEABLE, STOPPABLE, Status
from webapp.scaling import reading
from webapp.scaling.models import Revision
from webapp.sweeps.models import Replicate

TABS = {
    "charts": ("run", "Charts"),
    "media": ("run-media", "Media"),
    "log": ("run-log", "Log"),
    "config": ("run-config", "Config"),
    "artifacts": ("run-artifacts", "Artifacts"),
    "attempts": ("run-attempts", "Attempts"),
    "provenance": ("run-provenance", "Provenance"),
}
LOG_PAGE = 1000
LOG_GLANCE = 12
METRICS_IN_TABLE = 200


def run_for(request: PageRequest, slug: str, run_id: int, needed: Role = Role.VIEWER) -> Run:
    """The run at this address, if it is there and theirs to see; PermissionDenied when the role is too low."""
    project = project_for(request, slug, needed)
    runs = Run.objects.select_related("project", "baseline", "created_by", "cloned_from")
    found = runs.filter(project=project, pk=run_id, deleted_at=None).first() if run_id < 2**63 else None
    if found is None:
        raise Http404(f"There is no run {run_id} in {project.name}; it may have been deleted.")
    return found


@require_safe
@login_required
def charts(request: PageRequest, slug: str, run_id: int) -> HttpResponse:
    run = run_for(request, slug, run_id)
    place = news.tail(run.pk)  # before anything is read: whatever changes from now on, the page is told
    layouts = layouts_of(run.project)
    layout, settings = chosen(request.GET, layouts)
    first, groups = panels.page_of(run, settings.pin if settings else [])
    total = catalogue.count(run.pk)
    table = catalogue.find(run.pk, after=request.GET.get("metrics_after", ""), limit=METRICS_IN_TABLE)
    attempts = attempts_of(run)
    extra = {
        "first": first,
        "first_names": json.dumps([*(settings.pin if settings else []), *panels.FIRST]),
        "group_order": " ".join(panels.GROUPS),
        "groups": groups,
        "total": total,
        "metrics": summaries([run.pk], table.names)[run.pk],
        "metrics_after": table.names[-1] if table.has_more else "",
        "layouts": layouts,
        "layout": layout,
        "chart_settings": settings.model_dump_json() if settings else "",
        "can_save": allows(request.user, run.project, Role.EDITOR),
        "shrunk": shrunk_of(run),
        "merged": merged_of(run),
        **(_fit(run) if run.kind == "scaling_fit" else {}),
        "lines": _lines(run, LOG_GLANCE),
        "news_after": place,
        "has_memory": bool(memory.data(run).longest),
    }
    return tab_of(request, run, "charts", attempts, extra)


@require_safe
@login_required
def log(request: PageRequest, slug: str, run_id: int) -> HttpResponse:
    """The last lines; `?before=` those before a line."""
    run = run_for(request, slug, run_id)
    before = request.GET.get("before", "")
    lines = _lines(run, LOG_PAGE, int(before) if before.isdecimal() and len(before) < 18 else None)
    earlier = lines[0].pk if len(lines) == LOG_PAGE else None
    return tab_of(request, run, "log", attempts_of(run), {"lines": lines, "earlier": earlier, "is_tail": not before})


@require_safe
@login_required
def config(request: PageRequest, slug: str, run_id: int) -> HttpResponse:
    run = run_for(request, slug, run_id)
    spec = describe.spec_in_order(run)
    return tab_of(
        request,
        run,
        "config",
        attempts_of(run),
        {"values": spec, "spec": json.dumps(spec, indent=2, ensure_ascii=False)},
    )


@require_safe
@login_required
def artifacts_(request: PageRequest, slug: str, run_id: int) -> HttpResponse:
    run = run_for(request, slug, run_id)
    return tab_of(request, run, "artifacts", attempts_of(run), {"folders": artifacts.folders_of(run)})


@require_safe
@login_required
def attempts(request: PageRequest, slug: str, run_id: int) -> HttpResponse:
    run = run_for(request, slug, run_id)
    return tab_of(request, run, "attempts", attempts_of(run), {})


@require_safe
@login_required
def provenance(request: PageRequest, slug: str, run_id: int) -> HttpResponse:
    run = run_for(request, slug, run_id)
    sections = [("Provenance", run.provenance), ("Facts", run.facts), ("Result", run.result)]
    return tab_of(request, run, "provenance", attempts_of(run), {"sections": [s for s in sections if s[1]]})


@require_safe
@login_required
def head(request: PageRequest, slug: str, run_id: int) -> HttpResponse:
    """Name, state, actions, facts and notes: what the page asks for again while the run moves."""
    run = run_for(request, slug, run_id)
    return render(request, "parts/run_head_update.html", _context(request, run, "", attempts_of(run)))


def _fit(run: Run) -> dict[str, Any]:
    """The charts of a scaling fit, and the revision that it is."""
    read = reading.read(run)
    revision = Revision.objects.filter(run=run).select_related("fit").first()
    return {"fit_panels": fit_panels.of_run(run, read) if read else [], "revision": revision}


def tab_of(request: PageRequest, run: Run, tab: str, attempts: list[Attempt], extra: dict[str, Any]) -> HttpResponse:
    context = {**_context(request, run, tab, attempts), **extra}
    tab_template = f"parts/run_{tab}.html"
    return respond(request, "pages/run.html", tab_template, {**context, "tab_template": tab_template})


def _context(request: PageRequest, run: Run, tab: str, attempts: list[Attempt]) -> dict[str, Any]:
    slug, fitted = run.project.slug, fitted_of(run)
    return {
        "run": run,
        "project": run.project,
        "replicate": Replicate.objects.filter(run=run).select_related("trial__sweep").first(),
        "attempts": attempts,
        "marks_json": json.dumps(panels.marks_of(attempts)),
        "fitted": fitted,
        "facts": fitted.facts if fitted else facts.facts_of(run),
        "notes": [*notes.notes_of(run, attempts), *(fitted.notes if fitted else [])],
        "tabs": _tab_links(run, tab, {"attempts": len(attempts) if len(attempts) > 1 else 0}),
        "possible": possible(run) if allows(request.user, run.project, Role.EDITOR) else {},
        "is_live": run.status not in FINAL,
        "api": f"/api/v1/runs/{run.pk}",
        "crumbs": [{"label": "Runs", "url": reverse("runs", args=[slug])}, {"label": run.name}],
    }


def _tab_links(run: Run, current: str, counts: dict[str, int]) -> list[dict[str, Any]]:
    counts = {"media": len(media.names(run.pk)), **counts}
    return [
        {
            "label": label,
            "url": reverse(name, args=[run.project.slug, run.pk]),
            "current": key == current,
            "count": counts.get(key),
        }
        for key, (name, label) in TABS.items()
    ]


def possible(run: Run) -> dict[str, bool]:
    """Which buttons its state allows."""
    external = run.kind == "external"
    return {
        "edit": True,
        "delete": True,
        "clone": not external,
        "base": run.status == Status.SUCCEEDED and run.artifacts.filter(type=Artifact.Type.MODEL).exists(),
        "pause": run.status in PAUSABLE and not external,
        "cancel": run.status in STOPPABLE,
        "resume": run.status == Status.PAUSED,
        "requeue": run.status in REQUEUEABLE and not external,
    }


def attempts_of(run: Run) -> list[Attempt]:
    return list(run.attempts.prefetch_related("phases").order_by("number"))


def _lines(run: Run, limit: int, before: int | None = None) -> list[LogLine]:
    """The last `limit` lines, in order; those before the line `before` when given."""
    lines = LogLine.objects.filter(run=run, **({"pk__lt": before} if before else {}))
    return list(reversed(lines.order_by("-id")[:limit]))
