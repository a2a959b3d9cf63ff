from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from gpu_jobs import registry
from gpu_jobs import spec as specs
from webapp.accounts.errors import FieldError
from webapp.accounts.models import Project, Role
from webapp.http import PageRequest, project_for, respond
from webapp.pages.forms.run import RunForm
from webapp.pages.forms.spec import spec_form
from webapp.pages.forms.values import storable
from webapp.pages.runs import plan as plans
from webapp.pages.runs.choices import bases, latest_base
from webapp.pages.runs.draft import Draft, submitted, turn, upload
from webapp.runs import actions
from webapp.runs.errors import Invalid
from webapp.runs.models import Run
from webapp.runs.queries import visible


@require_http_methods(["GET", "POST"])
@login_required
def new(request: PageRequest, slug: str) -> HttpResponse:
    """GET shows the form (`?clone=`, `?base=`, `?kind=` fill it in); POST queues the run.

    It shows the form again when another button was pressed or something is wrong; whatever was typed stays.
    """
    project = project_for(request, slug, Role.EDITOR)
    if request.method == "GET":
        return _show(request, project, *_opened(request, project))
    draft, form = submitted(request.POST), RunForm(request.POST)
    if "file" in request.FILES:
        upload(request, project, draft)
    what = request.POST.get("do", "refresh")
    if what in ("json", "form"):
        turn(draft, to_text=what == "json")
    if what != "queue" or draft.errors:
        return _show(request, project, draft, form, quiet=what != "queue")
    return _queue(request, project, draft, form)


def _queue(request: PageRequest, project: Project, draft: Draft, form: RunForm) -> HttpResponse:
    if not form.is_valid():
        return _show(request, project, draft, form)
    try:
        storable(draft.values)
        run = actions.submit(project=project, spec=draft.values, user=request.user, **form.changes())
    except Invalid as error:
        draft.errors = [*error.errors]
        return _show(request, project, draft, form)
    messages.success(request, f"{run.name} is in the queue.")
    return redirect("run", project.slug, run.pk)


@require_POST
@login_required
def plan(request: PageRequest, slug: str) -> HttpResponse:
    """What the form, as it stands, will need."""
    project_for(request, slug, Role.EDITOR)
    draft = submitted(request.POST)
    context: dict[str, Any] = {"errors": draft.errors}
    if not draft.errors:
        try:
            context["forecast"] = plans.forecast(draft.values, request.user)
        except Invalid as error:
            context["errors"] = error.errors
        except TypeError:
            context["none"] = draft.kind
    return render(request, "parts/run_plan.html", context)


@require_POST
@login_required
def fits(request: PageRequest, slug: str) -> HttpResponse:
    """Which methods a device has room for, with the form as it stands."""
    project_for(request, slug, Role.EDITOR)
    draft = submitted(request.POST)
    chosen = request.POST.get("device_bytes", "")
    context: dict[str, Any] = {"errors": draft.errors, "project": slug}
    if not draft.errors:
        try:
            context["fits"] = plans.fits(draft.values, request.user, int(chosen) if chosen.isdecimal() else None)
        except Invalid as error:
            context["errors"] = error.errors
    return render(request, "parts/run_fits.html", context)


def _opened(request: PageRequest, project: Project) -> tuple[Draft, RunForm]:
    """The form as a link opens it: a copy of a run, a run on top of another, or a kind's defaults."""
    source = _run(request, "clone")
    if source and source.kind in registry.kinds():
        initial = {**RunForm.initial_of(source), "name": source.name}
        return Draft(source.kind, dict(source.spec)), RunForm(initial=initial)
    base = _run(request, "base")
    kind = request.GET.get("kind") or ("finetune" if base else "pretrain")
    kind = kind if kind in registry.kinds() else next(iter(registry.kinds()))
    return Draft(kind, _start(project, kind, base)), RunForm(initial={"baseline": base.pk if base else None})


def _start(project: Project, kind: str, base: Run | None) -> dict[str, Any]:
    """A run that goes on from another's model starts from the latest one there is."""
    base = base or (latest_base(project) if kind != "pretrain" else None)
    return {"model": {"source": "run", "run": base.pk}} if base else {}


def _run(request: PageRequest, name: str) -> Run | None:
    number = request.GET.get(name, "")
    return visible(request.user).filter(pk=int(number)).first() if number.isdecimal() and len(number) < 18 else None


def _show(request: PageRequest, project: Project, draft: Draft, form: RunForm, *, quiet: bool = False) -> HttpResponse:
    """The form with its errors at their fields. `quiet`: it was only rearranged, so nothing is held against it yet."""
    placed = spec_form(specs.schema(draft.kind), draft.values, draft.errors)
    about = {name: errors for name in form.fields if (errors := _said_of(name, draft.errors))}
    context = {
        "project": project,
        "draft": draft,
        "spec": placed,
        "form": form,
        "form_errors": {} if quiet and form.is_bound else {**_own(form), **about},
        "kinds": registry.kinds(),
        "bases": bases(project, request.user, draft.values),
        "uploads": project.uploads.select_related("blob").order_by("-id")[:200],
        "above": _above(draft, placed.errors, about),
        "crumbs": [{"label": "Runs", "url": reverse("runs", args=[project.slug])}, {"label": "New run"}],
    }
    status = 422 if draft.errors or (form.is_bound and context["form_errors"]) else 200
    return respond(request, "pages/run_new.html", "parts/run_new.html", context, status=status)


def _own(form: RunForm) -> dict[str, list[str]]:
    return {name: [str(item) for item in errors] for name, errors in form.errors.items()} if form.is_bound else {}


def _said_of(name: str, errors: list[FieldError]) -> list[str]:
    """What was said of a field outside the spec."""
    return [error["msg"] for error in errors if [str(step) for step in error["loc"]] == [name]]


def _above(draft: Draft, homeless: list[str], about: dict[str, list[str]]) -> list[str]:
    """The sentences that stand above the form, because no field of it is meant."""
    if draft.is_text:
        return []  # all of them stand below the text
    placed = {sentence for some in about.values() for sentence in some}
    return [sentence for sentence in homeless if sentence not in placed]
