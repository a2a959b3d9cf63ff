from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from gpu_jobs import registry
from gpu_jobs import spec as specs
from webapp.accounts.errors import FieldError, Invalid
from webapp.accounts.models import Project, Role
from webapp.http import PageRequest, project_for, respond
from webapp.pages.forms import dimensions, objectives, settings
from webapp.pages.forms.spec import spec_form
from webapp.pages.forms.sweep import SweepForm
from webapp.pages.forms.values import storable
from webapp.pages.runs.choices import bases
from webapp.pages.runs.draft import upload
from webapp.pages.runs.newest import metric_names
from webapp.pages.sweeps import draft as drafts
from webapp.pages.sweeps import plan as plans
from webapp.pages.sweeps.draft import SweepDraft
from webapp.runs.models import Run
from webapp.runs.queries import visible
from webapp.sweeps import actions
from webapp.sweeps.exchange.importing import import_observations
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import visible as visible_sweeps

RECENT_RUNS = 100


@require_http_methods(["GET", "POST"])
@login_required
def new(request: PageRequest, slug: str) -> HttpResponse:
    """GET shows the form (`?run=` takes that run's spec, `?clone=` that sweep); POST starts the sweep.

    It shows the form again when another button was pressed or something is wrong; whatever was typed stays.
    """
    project = project_for(request, slug, Role.EDITOR)
    if request.method == "GET":
        return show(request, project, *_opened(request))
    draft, form = drafts.submitted(request.POST), SweepForm(request.POST)
    if "file" in request.FILES:
        upload(request, project, draft.base)
    what = request.POST.get("do", "refresh")
    if what == "start":
        return _start(request, project, draft, form)
    if what == "base":
        draft = _on(_run(request, request.POST.get("run", "")), draft)
    drafts.changed(draft, what)
    return show(request, project, draft, form, quiet=True)


def _start(request: PageRequest, project: Project, draft: SweepDraft, form: SweepForm) -> HttpResponse:
    is_right = dimensions.check(draft.rows) and not draft.base.errors
    if not (form.is_valid() and is_right):
        return show(request, project, draft, form)
    try:
        sweep = _create(request, project, draft, form)
    except Invalid as error:
        drafts.place(draft, error.errors)
        return show(request, project, draft, form)
    messages.success(request, f"{sweep.name} has begun.")
    return redirect("sweep", project.slug, sweep.pk)


@transaction.atomic
def _create(request: PageRequest, project: Project, draft: SweepDraft, form: SweepForm) -> Sweep:
    """The sweep with the trials that came along: a sampler that is asked for points knows of them."""
    storable(draft.body)
    sweep = actions.create(project=project, user=request.user, definition=draft.body, **form.changes())
    if draft.observations:
        import_observations(sweep, draft.renamed_observations)
    return sweep


@require_POST
@login_required
def plan(request: PageRequest, slug: str) -> HttpResponse:
    """What the sweep, as the form stands, will try and need."""
    project = project_for(request, slug, Role.EDITOR)
    draft = drafts.submitted(request.POST)
    return render(request, "parts/sweep_plan.html", plans.plan(draft, request.user, project))


def show(
    request: PageRequest,
    project: Project,
    draft: SweepDraft,
    form: SweepForm,
    *,
    quiet: bool = False,
    told: Sequence[str] = (),
) -> HttpResponse:
    """The form with its errors at their fields. `quiet`: it was only rearranged, so nothing is held against it yet.
    `told`: what an import has to say."""
    groups, homeless = settings.groups(draft.settings, draft.errors)
    spec = spec_form(specs.schema(draft.base.kind), draft.base.values, draft.base.errors)
    about = {name: errors for name in form.fields if (errors := _said_of(name, draft.errors))}
    own = {name: [str(item) for item in errors] for name, errors in form.errors.items()} if form.is_bound else {}
    placed = {sentence for some in about.values() for sentence in some}
    context: dict[str, Any] = {
        "project": project,
        "sweep_draft": draft,
        "draft": draft.base,
        "spec": spec,
        "groups": groups,
        "form": form,
        "form_errors": {} if quiet else {**own, **about},
        "told": told,
        "above": [s for s in homeless if s not in placed] + ([] if draft.base.is_text else spec.errors),
        "is_base_open": bool(draft.base.errors) or draft.base.is_text or request.POST.get("do") in ("json", "form"),
        "crumbs": [{"label": "Sweeps", "url": reverse("sweeps", args=[project.slug])}, {"label": "New sweep"}],
        **_choices(request, project, draft),
    }
    status = 422 if (draft.is_wrong or own) and not quiet else 200
    return respond(request, "pages/sweep_new.html", "parts/sweep_new.html", context, status=status)


def _choices(request: PageRequest, project: Project, draft: SweepDraft) -> dict[str, Any]:
    """What the form offers to choose from."""
    taken = {row.path for row in draft.rows}
    suggested = draft.suggested
    return {
        "kinds": registry.kinds(),
        "bases": bases(project, request.user, draft.base.values),
        "uploads": project.uploads.select_related("blob").order_by("-id")[:200],
        "runs": drafts.runs_of(project, request.user)[:RECENT_RUNS],
        "base_run": request.POST.get("run", "") or request.GET.get("run", ""),
        "suggested": sorted(suggested),
        "addable": sorted(path for path in suggested if path not in taken),
        "shapes": dimensions.SHAPES.items(),
        "goals": objectives.GOALS,
        "statistics": objectives.STATISTICS,
        "metrics": sorted({*objectives.USUAL, *metric_names(project)}),
        "most_objectives": objectives.MOST,
    }


def _said_of(name: str, errors: list[FieldError]) -> list[str]:
    """What was said of a field outside the definition."""
    return [error["msg"] for error in errors if [str(step) for step in error["loc"]] == [name]]


def _opened(request: PageRequest) -> tuple[SweepDraft, SweepForm]:
    """The form as a link opens it: a copy of a sweep, a run's spec, or a kind's defaults."""
    source = _sweep(request, request.GET.get("clone", ""))
    if source:
        return drafts.of_definition(source.definition), SweepForm(initial=SweepForm.initial_of(source))
    run = _run(request, request.GET.get("run", ""))
    spec = dict(run.spec) if run and run.kind in registry.kinds() else {}
    return drafts.opened(spec), SweepForm()


def _on(run: Run | None, draft: SweepDraft) -> SweepDraft:
    """The same sweep over the spec of another run."""
    if run is None or run.kind not in registry.kinds():
        return draft
    base = drafts.opened(run.spec).base
    draft.base = base
    return draft


def _run(request: PageRequest, number: str) -> Run | None:
    return visible(request.user).filter(pk=int(number)).first() if number.isdecimal() and len(number) < 18 else None


def _sweep(request: PageRequest, number: str) -> Sweep | None:
    found = visible_sweeps(request.user)
    return found.filter(pk=int(number)).first() if number.isdecimal() and len(number) < 18 else None
