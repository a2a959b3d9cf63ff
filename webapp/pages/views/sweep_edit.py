from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Role
from webapp.http import PageRequest, respond
from webapp.pages.forms import dimensions, settings
from webapp.pages.forms.sweep import SweepForm
from webapp.pages.forms.values import storable
from webapp.pages.sweeps import draft as drafts
from webapp.pages.sweeps.draft import SweepDraft
from webapp.pages.views.sweep import sweep_for
from webapp.sweeps import actions
from webapp.sweeps.definition import Budget
from webapp.sweeps.errors import WrongState
from webapp.sweeps.models import Sweep

PARTS = ("stopper", "trials", "concurrency", "seeds")


@require_http_methods(["GET", "POST"])
@login_required
def edit(request: PageRequest, slug: str, sweep_id: int) -> HttpResponse:
    """What is asked from now on: space, constraints, stopper, seeds, limits. What was tried stays."""
    sweep = sweep_for(request, slug, sweep_id, Role.EDITOR)
    if request.method == "GET":
        return _show(request, sweep, drafts.of_definition(sweep.definition), SweepForm.of(sweep, None))
    draft, form = drafts.submitted(request.POST), SweepForm.of(sweep, request.POST)
    draft.base = drafts.of_definition(sweep.definition).base
    if request.POST.get("do") != "save":
        drafts.changed(draft, request.POST.get("do", "refresh"))
        return _show(request, sweep, draft, form, quiet=True)
    if form.is_valid() and dimensions.check(draft.rows) and _save(request, sweep, draft, form):
        messages.success(request, f"{sweep.name} is changed: it counts from the next point on.")
        return redirect("sweep", slug, sweep_id)
    return _show(request, sweep, draft, form)


def _save(request: PageRequest, sweep: Sweep, draft: SweepDraft, form: SweepForm) -> bool:
    """False when something is wrong; the draft then says what."""
    try:
        storable(draft.body)
        actions.edit(sweep, request.user, changes_of(sweep, draft, form))
    except Invalid as error:
        drafts.place(draft, error.errors)
        return False
    except WrongState as error:
        draft.errors.append({"loc": [], "msg": str(error)})
        return False
    return True


def changes_of(sweep: Sweep, draft: SweepDraft, form: SweepForm) -> dict[str, Any]:
    """The argument of edit: only what differs from what the sweep says now."""
    body, now = draft.body, sweep.definition
    asked = form.changes()
    changed: dict[str, Any] = {name: value for name, value in asked.items() if value != getattr(sweep, name)}
    search = {name: body["search"][name] for name in ("space", "constraints")}
    if dimensions.space_of(dimensions.rows_of(now["search"]["space"])) != search["space"]:
        changed["search"] = {"space": search["space"]}
    if search["constraints"] != now["search"]["constraints"]:
        changed["search"] = {**changed.get("search", {}), "constraints": search["constraints"]}
    told = settings.of_definition(now)
    parts = {name: body.get(name) for name in PARTS}
    changed |= {name: value for name, value in parts.items() if not _is_same(value, told.get(name))}
    limits = dict.fromkeys(Budget.model_fields) | body.get("budget", {})
    return changed if limits == now["budget"] else {**changed, "budget": limits}


def _is_same(asked: Any, now: Any) -> bool:
    """A knob that the form leaves out has its default, which the sweep's own definition writes out."""
    if isinstance(asked, dict) and isinstance(now, dict):
        return all(now.get(key) == value for key, value in asked.items()) and asked.get("name") == now.get("name")
    return bool(asked == now)


def _show(
    request: PageRequest, sweep: Sweep, draft: SweepDraft, form: SweepForm, *, quiet: bool = False
) -> HttpResponse:
    groups, homeless = settings.groups(draft.settings, draft.errors)
    own = {name: [str(item) for item in errors] for name, errors in form.errors.items()} if form.is_bound else {}
    about = {name: found for name in form.fields if (found := [e["msg"] for e in draft.errors if e["loc"] == [name]])}
    placed = {sentence for some in about.values() for sentence in some}
    slug, taken, suggested = sweep.project.slug, {row.path for row in draft.rows}, draft.suggested
    context: dict[str, Any] = {
        "sweep": sweep,
        "project": sweep.project,
        "sweep_draft": draft,
        "groups": groups,
        "form": form,
        "form_errors": {} if quiet else {**own, **about},
        "above": [*(sentence for sentence in homeless if sentence not in placed), *_of_spec(draft)],
        "suggested": sorted(suggested),
        "addable": sorted(path for path in suggested if path not in taken),
        "shapes": dimensions.SHAPES.items(),
        "crumbs": [
            {"label": "Sweeps", "url": reverse("sweeps", args=[slug])},
            {"label": sweep.name, "url": reverse("sweep", args=[slug, sweep.pk])},
            {"label": "Edit"},
        ],
    }
    status = 200 if quiet or request.method == "GET" else 422
    return respond(request, "pages/sweep_edit.html", "parts/sweep_edit.html", context, status=status)


def _of_spec(draft: SweepDraft) -> list[str]:
    return [error["msg"] for error in draft.base.errors]
