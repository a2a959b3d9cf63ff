from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from gpu_jobs import registry
from webapp.accounts.errors import Invalid
from webapp.accounts.models import Role
from webapp.accounts.roles import allows
from webapp.http import PageRequest, project_for, respond
from webapp.pages.scaling import ladder_facts
from webapp.scaling import actions, ladder_queries, next_runs, queries
from webapp.scaling.models import Ladder

LARGEST_ID = 2**63 - 1


def ladder_for(request: PageRequest, slug: str, ladder_id: int, needed: Role = Role.VIEWER) -> Ladder:
    """The ladder at this address, if it is there and theirs to see; PermissionDenied when the role is too low."""
    project = project_for(request, slug, needed)
    found = ladder_queries.ladders_of(project).filter(pk=ladder_id).first() if ladder_id <= LARGEST_ID else None
    if found is None:
        raise Http404(f"There is no ladder {ladder_id} in {project.name}; it may have been deleted.")
    found.project = project
    return found


@require_safe
@login_required
def ladder(request: PageRequest, slug: str, ladder_id: int) -> HttpResponse:
    """How far its runs are, what the fit through them says, and which run would be worth most."""
    found = ladder_for(request, slug, ladder_id)
    crumbs = [{"label": "Scaling", "url": reverse("scaling", args=[slug])}, {"label": found.name}]
    return render(request, "pages/ladder.html", {**_context(request, found), "crumbs": crumbs})


@require_safe
@login_required
def progress(request: PageRequest, slug: str, ladder_id: int) -> HttpResponse:
    """What changes: the page asks for it again while runs train or a fit is made."""
    return render(request, "parts/ladder_body.html", _context(request, ladder_for(request, slug, ladder_id)))


@require_POST
@login_required
def queue_next(request: PageRequest, slug: str, ladder_id: int) -> HttpResponse:
    """Queues one more run of the size and tokens in the form."""
    found = ladder_for(request, slug, ladder_id, Role.EDITOR)
    try:
        size, tokens = (_number(request, name) for name in ("N", "D"))
        rung = actions.add_rung(found, request.user, parameters=size, tokens=tokens)
    except Invalid as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Rung {rung.number} waits for a slot.")
    return redirect("ladder", slug, ladder_id)


@require_POST
@login_required
def cancel(request: PageRequest, slug: str, ladder_id: int) -> HttpResponse:
    """Cancels what waits or trains."""
    count = actions.cancel_ladder(ladder_for(request, slug, ladder_id, Role.EDITOR))
    messages.success(request, f"{count} run{'' if count == 1 else 's'} cancelled.")
    return redirect("ladder", slug, ladder_id)


@require_http_methods(["GET", "POST"])
@login_required
def delete(request: PageRequest, slug: str, ladder_id: int) -> HttpResponse:
    """GET asks, POST does."""
    found = ladder_for(request, slug, ladder_id, Role.EDITOR)
    if request.method == "POST":
        actions.delete_ladder(found)
        messages.success(request, f"{found.name} is deleted.")
        return redirect("scaling", slug)
    context = {
        "title": f"Delete {found.name}?",
        "text": "What it has in the queue or training is cancelled. Its runs stay, and its fit stays as it is.",
        "action": "Delete",
        "url": request.path,
        "back": reverse("ladder", args=[slug, ladder_id]),
    }
    return respond(request, "pages/confirm.html", "parts/confirm.html", context)


def _number(request: PageRequest, name: str) -> float:
    """Raises Invalid."""
    try:
        found = float(request.POST.get(name, ""))
    except ValueError:
        found = 0.0
    if not 0 < found < 1e30:
        raise Invalid.field(name, f"{name} must be a positive number, not {request.POST.get(name, '')!r}.")
    return found


def _context(request: PageRequest, found: Ladder) -> dict[str, Any]:
    definition, standing = ladder_queries.definition(found), ladder_queries.standing(found)
    suggestions = next_runs.suggested(found, request.user)
    fit = found.fit if found.fit is not None and found.fit.deleted_at is None else None
    pending = queries.pending(fit) if fit is not None else None
    return {
        "ladder": found,
        "project": found.project,
        "definition": definition,
        "law": registry.method_of(definition.law).title,
        "standing": standing,
        "segments": ladder_facts.segments(standing.counts),
        "facts": ladder_facts.facts(definition, standing, suggestions),
        "notes": ladder_facts.notes(found, standing),
        "suggestions": suggestions,
        "assumes": next_runs.ASSUMES,
        "fit": fit,
        "fit_url": ladder_facts.url_of("fit", found.project.slug, fit.pk) if fit is not None else "",
        "is_live": standing.is_live or pending is not None or ladder_queries.is_fit_due(found, standing),
        "is_fitting": pending is not None,
        "may_edit": allows(request.user, found.project, Role.EDITOR),
    }
