from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from gpu_jobs import registry as jobs
from gpu_jobs import spec as specs
from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, Role
from webapp.http import PageRequest, project_for, respond
from webapp.pages.forms.spec import spec_form
from webapp.pages.forms.sweep import SweepForm
from webapp.pages.protocols import draft as drafts
from webapp.pages.protocols import listing
from webapp.pages.protocols.draft import StudyDraft
from webapp.pages.runs.choices import bases
from webapp.pages.runs.draft import turn, upload
from webapp.pages.sweeps.draft import runs_of
from webapp.runs.models import Run
from webapp.sweeps import registry, studies
from webapp.sweeps.registry import Entry

RECENT_RUNS = 100
NAME_HELP = "Of the study; the protocol's title when empty."


@require_http_methods(["GET", "POST"])
@login_required
def new(request: PageRequest, slug: str, name: str) -> HttpResponse:
    """GET shows the protocol and its form (`?run=` takes that run's spec as the base); POST starts its sweeps.

    It shows the form again when another button was pressed or something is wrong; whatever was typed stays.
    """
    entry = _entry(name)
    project = project_for(request, slug, Role.EDITOR if request.method == "POST" else Role.VIEWER)
    if request.method == "GET":
        return _show(request, project, _opened(request, project, entry, request.GET.get("run", "")), _form())
    draft, form, what = drafts.submitted(entry, request.POST), _form(request.POST), request.POST.get("do", "refresh")
    if "file" in request.FILES:
        upload(request, project, draft.base)
    if what == "start":
        return _start(request, project, draft, form)
    if what == "base":
        draft.base = _opened(request, project, entry, request.POST.get("run", "")).base
    if what in ("json", "form"):
        turn(draft.base, to_text=what == "json")
    return _show(request, project, draft, form, quiet=True)


def _start(request: PageRequest, project: Project, draft: StudyDraft, form: SweepForm) -> HttpResponse:
    if not form.is_valid() or draft.base.errors:
        return _show(request, project, draft, form)
    try:
        study = studies.start(
            entry=draft.entry, project=project, user=request.user, knobs=draft.checked(), spec=draft.base.values,
            **form.changes(),
        )  # fmt: skip
    except Invalid as error:
        draft.place(error.errors)
        return _show(request, project, draft, form)
    count = len(study.sweeps)
    messages.success(request, f"{study.title} has begun: {count} sweep{'s' if count > 1 else ''}.")
    return redirect("protocol-study", project.slug, study.group)


@require_POST
@login_required
def plan(request: PageRequest, slug: str, name: str) -> HttpResponse:
    """The sweeps that the form, as it stands, would make."""
    project, entry = project_for(request, slug, Role.EDITOR), _entry(name)
    try:
        planned = drafts.submitted(entry, request.POST).planned(request.user, project)
    except Invalid as error:
        return render(request, "parts/protocol_plan.html", {"errors": error.errors})
    told = {"planned": planned, "cost": listing.cost(planned), "gpu_hours": listing.gpu_hours(planned)}
    return render(request, "parts/protocol_plan.html", told)


def _show(
    request: PageRequest, project: Project, draft: StudyDraft, form: SweepForm, *, quiet: bool = False
) -> HttpResponse:
    """The form with its errors at their fields. `quiet`: it was only rearranged, so nothing is held against it yet."""
    groups, homeless = draft.groups
    spec = spec_form(specs.schema(draft.base.kind), draft.base.values, draft.base.errors)
    own = {name: [str(item) for item in errors] for name, errors in form.errors.items()} if form.is_bound else {}
    about = {n: said for n in form.fields if (said := [e["msg"] for e in draft.errors if e["loc"] == [n]])}
    placed = {sentence for some in about.values() for sentence in some}
    context: dict[str, Any] = {
        "project": project,
        "entry": draft.entry,
        "unavailable": studies.unavailable(draft.entry),
        "studies": listing.study_rows(project, draft.entry.name),
        "sweep_draft": draft,  # parts/sweep_new_base.html tells its words
        "draft": draft.base,
        "spec": spec,
        "groups": groups,
        "form": form,
        "form_errors": {} if quiet else {**own, **about},
        "above": [s for s in homeless if s not in placed] + ([] if draft.base.is_text else spec.errors),
        "is_base_open": bool(draft.base.errors) or draft.base.is_text or request.POST.get("do") in ("json", "form"),
        "may_edit": request.role != Role.VIEWER,
        "kinds": jobs.kinds(),
        "bases": bases(project, request.user, draft.base.values),
        "uploads": project.uploads.select_related("blob").order_by("-id")[:200],
        "runs": runs_of(project, request.user)[:RECENT_RUNS],
        "base_run": request.POST.get("run", "") or request.GET.get("run", ""),
        "crumbs": [
            {"label": "Protocols", "url": reverse("protocols", args=[project.slug])},
            {"label": draft.entry.title},
        ],
    }
    status = 422 if (draft.is_wrong or own) and not quiet else 200
    return respond(request, "pages/protocol.html", "parts/protocol_new.html", context, status=status)


def _form(data: Any = None) -> SweepForm:
    form = SweepForm(data)
    form.fields["name"].help_text = NAME_HELP
    return form


def _opened(request: PageRequest, project: Project, entry: Entry, run_id: str) -> StudyDraft:
    """On a run's spec, else on the kind of job that comes first."""
    run = _run(request, project, run_id)
    spec = dict(run.spec) if run and run.kind in jobs.kinds() else listing.example(entry)
    return drafts.opened(entry, spec, str(spec["kind"]))


def _run(request: PageRequest, project: Project, number: str) -> Run | None:
    found = runs_of(project, request.user)
    return found.filter(pk=int(number)).first() if number.isdecimal() and len(number) < 18 else None


def _entry(name: str) -> Entry:
    entry = registry.entries("protocols").get(name)
    if entry is None:
        raise Http404(f"There is no protocol {name}.")
    return entry
