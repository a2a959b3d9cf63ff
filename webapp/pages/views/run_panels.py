from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Role
from webapp.http import PageRequest, project_for
from webapp.metrics.layouts import Settings, delete_layout, save_layout
from webapp.metrics.models import ChartLayout
from webapp.pages.runs.panels import found_by, level_of
from webapp.pages.views.run import run_for
from webapp.runs.models import Run


@require_safe
@login_required
def panels(request: PageRequest, slug: str, run_id: int) -> HttpResponse:
    """Some of a run's panels, for the page to put in: `?under=layers/0`, or `?q=` words; `&after=` the next."""
    run = run_for(request, slug, run_id)
    words, under, after = (request.GET.get(name, "").replace("\x00", "") for name in ("q", "under", "after"))
    level = found_by(run, words, after) if words else level_of(run, under, after)
    context = {
        "run": run,
        "project": run.project,
        "api": f"/api/v1/runs/{run.pk}",
        "level": level,
        "words": words,
        "under": under,
        "is_more": bool(after),
    }
    return render(request, "parts/run_level.html", context)


@require_POST
@login_required
def layout_save(request: PageRequest, slug: str) -> HttpResponse:
    """Keeps how charts are drawn (`settings` is the query of an address) under a name, for everybody in the project."""
    project = project_for(request, slug, Role.EDITOR)
    settings = Settings.of(QueryDict(request.POST.get("settings", ""))) or Settings()
    name, is_default = request.POST.get("name", ""), "is_default" in request.POST
    try:
        layout = save_layout(project, request.user, name, settings, is_default=is_default)
    except Invalid as error:
        messages.error(request, str(error))
        return redirect(_back(request, slug))
    messages.success(request, f"The layout {layout.name} is saved.")
    return redirect(f"{_back(request, slug)}?layout={layout.pk}")


@require_POST
@login_required
def layout_delete(request: PageRequest, slug: str, layout_id: int) -> HttpResponse:
    project = project_for(request, slug, Role.EDITOR)
    layout = ChartLayout.objects.filter(project=project, pk=layout_id).first()
    if layout is None:
        raise Http404(f"There is no layout {layout_id} in {project.name}; it may have been deleted.")
    delete_layout(layout)
    messages.success(request, f"The layout {layout.name} is deleted.")
    return redirect(_back(request, slug))


def _back(request: PageRequest, slug: str) -> str:
    """The run from whose page it was asked, else the table of runs."""
    number = request.POST.get("run", "")
    run = Run.objects.filter(project=request.project, pk=int(number)).first() if number.isdecimal() else None
    return reverse("run", args=[slug, run.pk]) if run else reverse("runs", args=[slug])
