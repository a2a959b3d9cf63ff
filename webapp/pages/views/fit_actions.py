from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Role
from webapp.http import PageRequest, respond
from webapp.pages.views.fit import fit_for
from webapp.runs.errors import WrongState
from webapp.scaling import actions


@require_POST
@login_required
def revise(request: PageRequest, slug: str, fit_id: int) -> HttpResponse:
    """Another revision, on the points of now."""
    fit = fit_for(request, slug, fit_id, Role.EDITOR)
    try:
        revision = actions.revise(fit, request.user)
    except (Invalid, WrongState) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Revision {revision.number} of {fit.name} is in the queue.")
    return redirect("fit", slug, fit_id)


@require_POST
@login_required
def keep(request: PageRequest, slug: str, fit_id: int) -> HttpResponse:
    """Keeps it current from now on, or no longer: `kept` is yes or no."""
    fit = fit_for(request, slug, fit_id, Role.EDITOR)
    kept = request.POST.get("kept") == "yes"
    try:
        actions.edit_fit(fit, is_kept_current=kept, user=request.user)
    except (Invalid, WrongState) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{fit.name} is kept current." if kept else f"{fit.name} stays as it is.")
    return redirect("fit", slug, fit_id)


@require_http_methods(["GET", "POST"])
@login_required
def delete(request: PageRequest, slug: str, fit_id: int) -> HttpResponse:
    """GET asks, POST does."""
    fit = fit_for(request, slug, fit_id, Role.EDITOR)
    if request.method == "POST":
        actions.delete_fit(fit)
        messages.success(request, f"{fit.name} is deleted.")
        return redirect("scaling", slug)
    context = {
        "title": f"Delete {fit.name}?",
        "text": "Its revisions are no longer told together, and it is not kept current; the runs stay in the table of "
        "runs. It can't be undone.",
        "action": "Delete",
        "url": request.path,
        "back": reverse("fit", args=[slug, fit_id]),
    }
    return respond(request, "pages/confirm.html", "parts/confirm.html", context)
