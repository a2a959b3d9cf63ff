from __future__ import annotations

from collections.abc import Callable, Sequence

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from webapp.accounts.models import Role
from webapp.http import PageRequest, project_for
from webapp.pages.runs.table import runs_of
from webapp.runs import actions
from webapp.runs.errors import Invalid, WrongState
from webapp.runs.models import Run

DONE = {"cancel": "cancelled", "pause": "paused", "resume": "resumed", "requeue": "requeued"}
MOST = 1000


@require_POST
@login_required
def runs_bulk(request: PageRequest, slug: str) -> HttpResponse:
    """Does one thing to every ticked run that allows it; says of the others why not. Deleting asks first."""
    project = project_for(request, slug, Role.EDITOR)
    ids = [int(number) for number in request.POST.getlist("run")[:MOST] if number.isdecimal() and len(number) < 18]
    runs = list(runs_of(project).filter(pk__in=ids).order_by("id"))
    back = _back(request, slug)
    what = request.POST.get("do", "")
    if not runs:
        messages.info(request, "No run is ticked.")
        return HttpResponseRedirect(back)
    if what == "delete" and "sure" not in request.POST:
        return render(request, "pages/runs_delete.html", {"project": project, "runs": runs, "back": back})
    if what == "compare":
        return HttpResponseRedirect(f"{reverse('compare')}?runs={','.join(str(run.pk) for run in runs)}")
    act = _action(request, what)
    if act is None:
        return HttpResponseBadRequest("This is nothing that can be done to runs.")
    _report(request, _past(request, what), runs, act)
    return HttpResponseRedirect(back)


def _action(request: PageRequest, what: str) -> Callable[[Run], object] | None:
    """What to do to each run, looked up by the button's name in a fixed list."""
    named: dict[str, Callable[[Run], object]] = {
        "cancel": actions.cancel,
        "pause": actions.pause,
        "resume": actions.resume,
        "requeue": actions.requeue,
        "delete": actions.delete,
        "tag": lambda run: actions.update(run, tags=[*dict.fromkeys([*run.tags, request.POST.get("tag", "").strip()])]),
    }
    return named.get(what)


def _past(request: PageRequest, what: str) -> str:
    if what == "tag":
        return f"tagged {request.POST.get('tag', '').strip()}"
    return "deleted" if what == "delete" else DONE.get(what, what)


def _report(request: PageRequest, past: str, runs: Sequence[Run], act: Callable[[Run], object]) -> None:
    refused = [reason for run in runs if (reason := _try(run, act))]
    done = len(runs) - len(refused)
    if done:
        messages.success(request, f"{done} run{'s' if done > 1 else ''} {past}.")
    if refused:
        more = f" ({len(refused) - 1} more like it)" if len(refused) > 1 else ""
        messages.warning(request, refused[0] + more)


def _try(run: Run, act: Callable[[Run], object]) -> str:
    """Empty when it was done, else the reason."""
    try:
        act(run)
    except (WrongState, Invalid) as error:
        return str(error)
    return ""


def _back(request: PageRequest, slug: str) -> str:
    target = request.POST.get("back", "")
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if safe and target else reverse("runs", args=[slug])
