from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Role
from webapp.http import PageRequest, respond
from webapp.pages.forms.bound import show_errors
from webapp.pages.forms.extension import ExtendForm, PointForm
from webapp.pages.views.sweep import sweep_for
from webapp.sweeps import actions
from webapp.sweeps.errors import WrongState
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import definition


@require_http_methods(["GET", "POST"])
@login_required
def extend(request: PageRequest, slug: str, sweep_id: int) -> HttpResponse:
    """More trials, or other limits; a sweep that is over goes on."""
    sweep = sweep_for(request, slug, sweep_id, Role.EDITOR)
    form = ExtendForm(request.POST or None, definition(sweep))
    if request.method == "POST" and form.is_valid():
        try:
            actions.extend(sweep, request.user, **form.changes())
        except (Invalid, WrongState) as error:
            _show(form, error)
        else:
            messages.success(request, f"{sweep.name} goes on.")
            return redirect("sweep", slug, sweep_id)
    told = {"title": f"Extend {sweep.name}", "action": "Extend", "text": "What is tried already stays."}
    return _answer(request, sweep, form, told)


@require_http_methods(["GET", "POST"])
@login_required
def add(request: PageRequest, slug: str, sweep_id: int) -> HttpResponse:
    """A point chosen by hand, tried before the sampler's next."""
    sweep = sweep_for(request, slug, sweep_id, Role.EDITOR)
    form = PointForm(request.POST or None, definition(sweep))
    if request.method == "POST" and form.is_valid():
        try:
            trial = actions.add_trial(sweep, request.user, form.params())
        except (Invalid, WrongState) as error:
            _show(form, error)
        else:
            messages.success(request, f"Trial {trial.number} is next.")
            return redirect("sweep-trials", slug, sweep_id)
    told = {"title": "Add a point", "action": "Try it", "text": "It is tried before the sampler's next point."}
    return _answer(request, sweep, form, told)


def _show(form: forms.Form, error: Invalid | WrongState) -> None:
    """An error of a point names the path among its steps, as one step or as several."""
    if isinstance(error, WrongState):
        form.add_error(None, str(error))
        return
    for item in error.errors:
        path = ".".join(str(step) for step in item["loc"][1:])
        if path in form.fields:
            form.add_error(path, item["msg"])
        else:
            show_errors(form, [item])


def _answer(request: PageRequest, sweep: Sweep, form: forms.Form, told: dict[str, Any]) -> HttpResponse:
    context = {"sweep": sweep, "project": sweep.project, "form": form, "url": request.path, **told}
    if request.method == "POST":
        return render(request, "pages/sweep_dialog.html", context, status=422)
    return respond(request, "pages/sweep_dialog.html", "parts/sweep_dialog.html", context)
