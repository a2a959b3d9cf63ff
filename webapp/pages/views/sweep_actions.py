from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Role, User
from webapp.http import PageRequest, respond
from webapp.pages.views.sweep import sweep_for
from webapp.sweeps import actions
from webapp.sweeps.errors import WrongState
from webapp.sweeps.models import Sweep, Trial

View = Callable[..., HttpResponse]


def _control(act: Callable[[Sweep, User], object], said: str) -> View:
    """A POST view that does one thing to a sweep and goes back to its page."""

    @require_POST
    @login_required
    def view(request: PageRequest, slug: str, sweep_id: int) -> HttpResponse:
        sweep = sweep_for(request, slug, sweep_id, Role.EDITOR)
        try:
            act(sweep, request.user)
        except WrongState as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"{sweep.name} {said}.")
        return redirect("sweep", slug, sweep_id)

    return view


pause = _control(actions.pause, "is paused: what trains goes on to its end")
resume = _control(actions.resume, "goes on")


@require_POST
@login_required
def requeue(request: PageRequest, slug: str, sweep_id: int) -> HttpResponse:
    sweep = sweep_for(request, slug, sweep_id, Role.EDITOR)
    number = actions.requeue_failed(sweep, request.user)
    messages.success(
        request, f"{number:,} failed trial{'' if number == 1 else 's'} wait{'s' if number == 1 else ''} again."
    )
    return redirect("sweep", slug, sweep_id)


def _confirmed(
    title: str, text: str, button: str, act: Callable[[Sweep, User], object], said: str, goes_to: str
) -> View:
    """GET asks, POST does."""

    @require_http_methods(["GET", "POST"])
    @login_required
    def view(request: PageRequest, slug: str, sweep_id: int) -> HttpResponse:
        sweep = sweep_for(request, slug, sweep_id, Role.EDITOR)
        back = reverse("sweep", args=[slug, sweep_id])
        if request.method == "POST":
            try:
                act(sweep, request.user)
            except WrongState as error:
                messages.error(request, str(error))
                return redirect(back)
            messages.success(request, f"{sweep.name} {said}.")
            return redirect("sweeps", slug) if goes_to == "sweeps" else redirect(back)
        context = {
            "title": title.format(name=sweep.name),
            "text": text,
            "action": button,
            "url": request.path,
            "back": back,
        }
        return respond(request, "pages/confirm.html", "parts/confirm.html", context)

    return view


stop = _confirmed(
    "Stop {name}?",
    "Its runs are cancelled, each with a checkpoint, and nothing new is tried. It can be extended later.",
    "Stop",
    actions.stop,
    "is stopped",
    "sweep",
)
delete = _confirmed(
    "Delete {name}?",
    "Its trials, ranking and charts go; its runs stay in the table of runs, those under way are cancelled. "
    "It can't be undone.",
    "Delete",
    actions.delete,
    "is deleted",
    "sweeps",
)


@require_POST
@login_required
def trial_cancel(request: PageRequest, slug: str, sweep_id: int, number: int) -> HttpResponse:
    return _on_trial(request, slug, sweep_id, number, actions.cancel_trial, "is being cancelled")


@require_POST
@login_required
def trial_resume(request: PageRequest, slug: str, sweep_id: int, number: int) -> HttpResponse:
    return _on_trial(request, slug, sweep_id, number, actions.resume_trial, "goes on; no stopper touches it again")


@require_POST
@login_required
def trial_priority(request: PageRequest, slug: str, sweep_id: int, number: int) -> HttpResponse:
    """`priority` is added to the sweep's."""
    text = request.POST.get("priority", "")
    priority = int(text) if text.lstrip("-").isdecimal() and len(text) < 9 else 0
    said = (
        "goes before the others"
        if priority > 0
        else "waits like the others"
        if not priority
        else "goes after the others"
    )
    return _on_trial(
        request, slug, sweep_id, number, lambda trial, user: actions.prioritise(trial, user, priority), said
    )


def _on_trial(
    request: PageRequest, slug: str, sweep_id: int, number: int, act: Callable[[Trial, User], object], said: str
) -> HttpResponse:
    sweep = sweep_for(request, slug, sweep_id, Role.EDITOR)
    trial = Trial.objects.filter(sweep=sweep, number=number).first() if number < 2**31 else None
    if trial is None:
        raise Http404(f"There is no trial {number} in {sweep.name}.")
    try:
        act(trial, request.user)
    except (WrongState, Invalid) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Trial {number} {said}.")
    return redirect(reverse("sweep-trials", args=[slug, sweep_id]))
