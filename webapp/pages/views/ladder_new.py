from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from gpu_jobs import spec as specs
from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, Role
from webapp.http import PageRequest, project_for, respond
from webapp.pages.forms.sweep import SweepForm
from webapp.pages.runs.choices import bases
from webapp.pages.runs.draft import turn, upload
from webapp.pages.scaling import ladder_draft as drafts
from webapp.pages.scaling.ladder_cells import power
from webapp.pages.scaling.ladder_draft import LadderDraft
from webapp.pages.sweeps.draft import runs_of
from webapp.runs.models import Run
from webapp.scaling import actions

KIND = "pretrain"
RECENT_RUNS = 100


@require_http_methods(["GET", "POST"])
@login_required
def new(request: PageRequest, slug: str) -> HttpResponse:
    """GET shows the form (`?run=` takes that run's spec as the base); POST queues the ladder.

    It shows the form again when another button was pressed or something is wrong; whatever was typed stays.
    """
    project = project_for(request, slug, Role.EDITOR)
    if request.method == "GET":
        return _show(request, project, _opened(request, project, request.GET.get("run", "")), _form())
    draft, form, what = drafts.submitted(request.POST), _form(request.POST), request.POST.get("do", "refresh")
    if "file" in request.FILES:
        upload(request, project, draft.base)
    if what == "start":
        return _queue(request, project, draft, form)
    if what == "base":
        draft.base = _opened(request, project, request.POST.get("run", "")).base
    if what in ("json", "form"):
        turn(draft.base, to_text=what == "json")
    return _show(request, project, draft, form, quiet=True)


def _queue(request: PageRequest, project: Project, draft: LadderDraft, form: SweepForm) -> HttpResponse:
    if not form.is_valid() or draft.base.errors:
        return _show(request, project, draft, form)
    try:
        draft.proposed(request.user, project)
        asked: dict[str, Any] = {"project": project, "user": request.user, "definition": draft.definition}
        ladder = actions.create_ladder(**asked, **form.changes())
    except Invalid as error:
        draft.place(error.errors)
        return _show(request, project, draft, form)
    count = ladder.rungs.count()
    messages.success(request, f"{ladder.name}: {count} run{'s' if count > 1 else ''} wait for a slot.")
    return redirect("ladder", project.slug, ladder.pk)


@require_POST
@login_required
def plan(request: PageRequest, slug: str) -> HttpResponse:
    """The runs that the form, as it stands, would queue."""
    project = project_for(request, slug, Role.EDITOR)
    context = {"project": project, "oob": True, **_plan(request, project, drafts.submitted(request.POST))}
    return render(request, "parts/ladder_plan.html", context)


def _plan(request: PageRequest, project: Project, draft: LadderDraft) -> dict[str, Any]:
    try:
        found = draft.proposed(request.user, project)
    except Invalid as error:
        return {"plan_errors": error.errors}
    count = len(found.rungs)
    label = f"Queue {count} run{'s' if count > 1 else ''}, {power(found.compute)} FLOPs"
    return {"proposal": found, "compute": power(found.compute), "label": label}


def _show(
    request: PageRequest, project: Project, draft: LadderDraft, form: SweepForm, *, quiet: bool = False
) -> HttpResponse:
    """The form with its errors at their fields. `quiet`: it was only rearranged, so nothing is held against it yet."""
    groups, homeless = draft.groups
    spec = draft.spec(specs.schema(KIND))
    own = {name: [str(item) for item in errors] for name, errors in form.errors.items()} if form.is_bound else {}
    about = {n: said for n in form.fields if (said := [e["msg"] for e in draft.errors if e["loc"] == [n]])}
    placed = {sentence for some in about.values() for sentence in some}
    status = 422 if (draft.is_wrong or own) and not quiet else 200
    context: dict[str, Any] = {
        "project": project,
        "draft": draft.base,
        "spec": spec,
        "groups": groups,
        "form": form,
        "form_errors": {} if quiet else {**own, **about},
        "above": [s for s in homeless if s not in placed] + ([] if draft.base.is_text else spec.errors),
        "is_base_open": bool(draft.base.errors) or draft.base.is_text or request.POST.get("do") in ("json", "form"),
        "bases": bases(project, request.user, draft.base.values),
        "uploads": project.uploads.select_related("blob").order_by("-id")[:200],
        "runs": runs_of(project, request.user).filter(kind=KIND)[:RECENT_RUNS],
        "base_run": request.POST.get("run", "") or request.GET.get("run", ""),
        "crumbs": [{"label": "Scaling", "url": _scaling(project)}, {"label": "New ladder"}],
        "scaling_url": _scaling(project),
        **_plan(request, project, draft),
    }
    return respond(request, "pages/ladder_new.html", "parts/ladder_new.html", context, status=status)


def _form(data: Any = None) -> SweepForm:
    form = SweepForm(data)
    form.fields["name"].help_text = "Made from the budget when empty."
    form.fields["tags"].help_text = "Of its runs, beside ladder-<id> and rung-<number>. Separated by commas."
    return form


def _opened(request: PageRequest, project: Project, run_id: str) -> LadderDraft:
    """On a run's spec, else on the example."""
    run = _run(request, project, run_id)
    return drafts.opened(run.spec if run else None)


def _run(request: PageRequest, project: Project, number: str) -> Run | None:
    found = runs_of(project, request.user).filter(kind=KIND)
    return found.filter(pk=int(number)).first() if number.isdecimal() and len(number) < 18 else None


def _scaling(project: Project) -> str:
    return reverse("scaling", args=[project.slug])
