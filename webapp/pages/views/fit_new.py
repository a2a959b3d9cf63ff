from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts.errors import FieldError, Invalid
from webapp.accounts.models import Project, Role
from webapp.http import PageRequest, project_for, respond
from webapp.pages.forms.fit import FitForm
from webapp.pages.forms.values import storable
from webapp.pages.runs.draft import turn, upload
from webapp.pages.scaling import preview as previews
from webapp.pages.scaling.draft import KIND, STARTING, FitDraft, opened, submitted
from webapp.pages.views.fit import fit_for
from webapp.runs.errors import WrongState
from webapp.runs.models import Run
from webapp.runs.queries import visible
from webapp.scaling import actions, queries
from webapp.scaling.models import Fit


@require_http_methods(["GET", "POST"])
@login_required
def new(request: PageRequest, slug: str) -> HttpResponse:
    """GET shows the form (`?query=`, `?law=`, `?clone=`, `?run=` fill it in); POST makes the fit, which queues a run.

    It shows the form again when another button was pressed or something is wrong; whatever was typed stays.
    """
    project = project_for(request, slug, Role.EDITOR)
    if request.method == "GET":
        draft, form = _opened(request, project)
        return _show(request, project, draft, form)
    draft, form, what = _typed(request, project)
    if what != "fit" or draft.base.errors or not form.is_valid():
        return _show(request, project, draft, form, quiet=what != "fit")
    try:
        storable(draft.base.values)
        fit = actions.create_fit(project=project, user=request.user, spec=draft.base.values, **form.cleaned_data)
    except Invalid as error:
        draft.base.errors = [*error.errors]
        return _show(request, project, draft, form)
    messages.success(request, f"{fit.name} is in the queue.")
    return redirect("fit", slug, fit.pk)


@require_http_methods(["GET", "POST"])
@login_required
def edit(request: PageRequest, slug: str, fit_id: int) -> HttpResponse:
    """The same form on a fit that is there; another spec queues another revision."""
    fit = fit_for(request, slug, fit_id, Role.EDITOR)
    if request.method == "GET":
        return _show(request, fit.project, opened(fit.spec), FitForm(initial=FitForm.initial_of(fit)), fit=fit)
    draft, form, what = _typed(request, fit.project)
    if what != "fit" or draft.base.errors or not form.is_valid():
        return _show(request, fit.project, draft, form, fit=fit, quiet=what != "fit")
    draft.base.errors = _changed(request, fit, draft, form)
    if draft.base.errors:
        return _show(request, fit.project, draft, form, fit=fit)
    messages.success(request, f"{form.cleaned_data['name'] or fit.name} is changed.")
    return redirect("fit", slug, fit.pk)


def _changed(request: PageRequest, fit: Fit, draft: FitDraft, form: FitForm) -> list[FieldError]:
    """What is wrong with the changes; empty where they are made."""
    name, kept = form.cleaned_data["name"] or fit.name, form.cleaned_data["is_kept_current"]
    kept = kept if kept != fit.is_kept_current else None
    try:
        storable(draft.base.values)
        actions.edit_fit(fit, name=name, is_kept_current=kept, spec=draft.base.values, user=request.user)
    except Invalid as error:
        return [*error.errors]
    except WrongState as error:
        return [{"loc": [], "msg": str(error)}]
    return []


@require_POST
@login_required
def preview(request: PageRequest, slug: str) -> HttpResponse:
    """The law, and the points that the form, as it stands, finds."""
    project = project_for(request, slug, Role.EDITOR)
    draft = submitted(request.POST)
    context: dict[str, Any] = {"errors": draft.base.errors}
    if not draft.base.errors:
        try:
            context["preview"] = previews.preview(project, draft.base.values)
        except Invalid as error:
            context["errors"] = error.errors
    return render(request, "parts/fit_preview.html", context)


def _typed(request: PageRequest, project: Project) -> tuple[FitDraft, FitForm, str]:
    draft, form, what = submitted(request.POST), FitForm(request.POST), request.POST.get("do", "refresh")
    if "file" in request.FILES:
        upload(request, project, draft.base)
    if what in ("json", "form"):
        turn(draft.base, to_text=what == "json")
    return draft, form, what


def _opened(request: PageRequest, project: Project) -> tuple[FitDraft, FitForm]:
    """As a link opens it: a copy of a fit, the spec of a run, or runs that a query finds."""
    number = _number(request.GET.get("clone", ""))
    clone = queries.fit_of(project, number) if number else None
    if clone is not None:
        return opened(clone.spec), FitForm(initial={**FitForm.initial_of(clone), "name": f"{clone.name}, copy"})
    run = _run(request)
    if run is not None:
        return opened(run.spec), FitForm(initial={"name": run.name})
    spec = {**STARTING, "points": {"source": "runs", "query": request.GET.get("query", "")}}
    if law := request.GET.get("law", ""):
        spec["law"] = {"name": law}
    return opened(spec), FitForm()


def _run(request: PageRequest) -> Run | None:
    number = _number(request.GET.get("run", ""))
    return visible(request.user).filter(pk=number, kind=KIND).first() if number else None


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 18 else 0


def _show(
    request: PageRequest,
    project: Project,
    draft: FitDraft,
    form: FitForm,
    *,
    fit: Fit | None = None,
    quiet: bool = False,
) -> HttpResponse:
    """The form with its errors at their fields. `quiet`: it was only rearranged, so nothing is held against it yet."""
    groups, homeless = draft.groups
    own = {name: [str(item) for item in errors] for name, errors in form.errors.items()} if form.is_bound else {}
    about = {name: found for name in form.fields if (found := _said_of(name, draft.base.errors))}
    placed = {sentence for some in about.values() for sentence in some}
    scaling = {"label": "Scaling", "url": reverse("scaling", args=[project.slug])}
    here = {"label": fit.name, "url": reverse("fit", args=[project.slug, fit.pk])} if fit else None
    context: dict[str, Any] = {
        "project": project,
        "fit": fit,
        "draft": draft.base,
        "groups": groups,
        "form": form,
        "form_errors": {} if quiet else {**own, **about},
        "above": [] if draft.base.is_text else [said for said in homeless if said not in placed],
        "uploads": project.uploads.select_related("blob").order_by("-id")[:200],
        "crumbs": [scaling, *([here, {"label": "Edit"}] if here else [{"label": "New fit"}])],
    }
    is_wrong = bool(draft.base.errors or (own and not quiet))
    return respond(request, "pages/fit_new.html", "parts/fit_new.html", context, status=422 if is_wrong else 200)


def _said_of(name: str, errors: list[FieldError]) -> list[str]:
    """What was said of a field outside the spec."""
    return [error["msg"] for error in errors if [str(step) for step in error["loc"]] == [name]]
