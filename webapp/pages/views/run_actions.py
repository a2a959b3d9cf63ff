from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts.models import Role
from webapp.http import PageRequest, respond
from webapp.pages.forms.bound import show_errors
from webapp.pages.forms.run import RunForm
from webapp.pages.views.run import run_for
from webapp.runs import actions
from webapp.runs.errors import Invalid, WrongState
from webapp.runs.models import Run

Action = Callable[[Run], Run]


def _control(name: str, said: str) -> Callable[[PageRequest, str, int], HttpResponse]:
    """A POST view that does one thing to a run and goes back to its page."""

    @require_POST
    @login_required
    def view(request: PageRequest, slug: str, run_id: int) -> HttpResponse:
        run = run_for(request, slug, run_id, Role.EDITOR)
        action: Action = getattr(actions, name)
        try:
            action(run)
        except WrongState as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"{run.name} {said}.")
        return redirect("run", slug, run_id)

    return view


cancel = _control("cancel", "is being cancelled")
pause = _control("pause", "is being paused")
resume = _control("resume", "is back in the queue")
requeue = _control("requeue", "is back in the queue")


@require_http_methods(["GET", "POST"])
@login_required
def delete(request: PageRequest, slug: str, run_id: int) -> HttpResponse:
    """GET asks, POST does."""
    run = run_for(request, slug, run_id, Role.EDITOR)
    if request.method == "POST":
        actions.delete(run)
        messages.success(request, f"{run.name} is deleted.")
        return redirect("runs", slug)
    context = {
        "title": f"Delete {run.name}?",
        "text": "Its charts, log, checkpoints and model go with it. It can't be undone.",
        "action": "Delete",
        "url": request.path,
        "back": reverse("run", args=[slug, run_id]),
    }
    return respond(request, "pages/confirm.html", "parts/confirm.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def edit(request: PageRequest, slug: str, run_id: int) -> HttpResponse:
    """Name, tags, priority, queue and baseline: what people call a run and where it waits."""
    run = run_for(request, slug, run_id, Role.EDITOR)
    form = RunForm.of(run, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            actions.update(run, **form.changes())
        except Invalid as error:
            show_errors(form, error.errors)
        else:
            messages.success(request, f"{run.name} is changed.")
            return redirect("run", slug, run_id)
    context = {"form": form, "run": run, "project": run.project}
    if request.method == "POST":
        return render(request, "pages/run_edit.html", context, status=422)
    return respond(request, "pages/run_edit.html", "parts/run_edit.html", context)
