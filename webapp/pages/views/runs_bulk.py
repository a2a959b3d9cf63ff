from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, Role
from webapp.http import PageRequest, project_for
from webapp.pages.runs.newest import runs_of
from webapp.pages.runs.query import Query
from webapp.pages.runs.table import filtered
from webapp.runs.models import Run
from webapp.runs.selection import PAST, Action, Done, act, action_of, count_text, select

MOST_TICKED = 1000
LISTED = 10
VERBS = {
    "cancel": "Cancel",
    "pause": "Pause",
    "resume": "Resume",
    "requeue": "Requeue",
    "delete": "Delete",
    "tag": "Tag",
}


class Asked(NamedTuple):
    """`match` is the query of the address whose runs are all meant; empty when single ones are ticked."""

    what: str
    tag: str
    match: str
    back: str
    is_sure: bool
    digest: str


@require_POST
@login_required
def runs_bulk(request: PageRequest, slug: str) -> HttpResponse:
    """Does one thing to every ticked run, or to all that match, that allows it; says of the others why not.

    Deleting asks first, and so does whatever is done to all that match: the filter is run again, and where it finds
    other runs than those confirmed, nothing is done and it is asked again.
    """
    project = project_for(request, slug, Role.EDITOR)
    asked = _asked(request, slug)
    action = action_of(asked.what, asked.tag)
    if action is None and asked.what != "compare":
        return HttpResponseBadRequest("This is nothing that can be done to runs.")
    if asked.what == "tag" and not asked.tag:
        messages.info(request, "Write the tag that the runs should have.")
        return HttpResponseRedirect(asked.back)
    if asked.match:
        return _matching(request, project, asked, action)
    numbers = _ticked(request, project)
    if not numbers:
        messages.info(request, "No run is ticked.")
        return HttpResponseRedirect(asked.back)
    if action is None:
        return HttpResponseRedirect(f"{reverse('compare')}?runs={','.join(map(str, numbers))}")
    if asked.what == "delete" and not asked.is_sure:
        sent = [*(("run", number) for number in numbers), ("back", asked.back)]
        return _confirm(request, project, asked, numbers, sent)
    _report(request, asked, act(numbers, action))
    return HttpResponseRedirect(asked.back)


def _matching(request: PageRequest, project: Project, asked: Asked, action: Action | None) -> HttpResponse:
    query = Query.of(QueryDict(asked.match))
    if action is None:
        return HttpResponseRedirect(f"{reverse('compare')}?{query.chosen(project)}")
    try:
        found = select(filtered(runs_of(project), query))
    except Invalid as error:
        messages.warning(request, str(error).partition("\n")[0])
        return HttpResponseRedirect(asked.back)
    if not asked.is_sure or asked.digest != found.digest:
        sent = [("match", asked.match), ("digest", found.digest), ("tag", asked.tag), ("back", asked.back)]
        return _confirm(request, project, asked, found.numbers, sent)
    _report(request, asked, act(found.numbers, action))
    return HttpResponseRedirect(asked.back)


def _confirm(
    request: PageRequest, project: Project, asked: Asked, numbers: Sequence[int], sent: Sequence[tuple[str, object]]
) -> HttpResponse:
    """Asks, with the runs that are meant; once more where those that match are not what was confirmed."""
    context = {
        "project": project,
        "asked": asked,
        "verb": VERBS[asked.what],
        "found": count_text(len(numbers)),
        "first": Run.objects.filter(pk__in=numbers[-LISTED:]).order_by("-id"),
        "more": max(0, len(numbers) - LISTED),
        "sent": sent,
        "crumbs": [{"label": "Runs", "url": asked.back}, {"label": VERBS[asked.what]}],
        "filter": [(name, value) for name, value in QueryDict(asked.match).items() if value and name != "all"],
    }
    return render(request, "pages/runs_confirm.html", context, status=409 if asked.is_sure else 200)


def _asked(request: PageRequest, slug: str) -> Asked:
    said = request.POST
    match = said.get("match", "")
    return Asked(
        what=said.get("do", ""),
        tag=said.get("tag", "").strip(),
        match=urlencode({**QueryDict(match).dict(), "all": "yes"}) if match else "",
        back=_back(request, slug),
        is_sure="sure" in said,
        digest=said.get("digest", ""),
    )


def _ticked(request: PageRequest, project: Project) -> list[int]:
    """Those of this page, and those of other pages, which come in one field."""
    told = [*request.POST.getlist("run"), *request.POST.get("others", "").split(",")]
    ids = {int(number) for number in told if number.isdecimal() and len(number) < 18}
    numbers = list(runs_of(project).filter(pk__in=ids).order_by("id").values_list("pk", flat=True)[: MOST_TICKED + 1])
    if len(numbers) > MOST_TICKED:
        messages.info(request, f"At most {MOST_TICKED:,} ticked runs are changed at once: the others are left.")
    return numbers[:MOST_TICKED]


def _report(request: PageRequest, asked: Asked, done: Done) -> None:
    past = f"tagged {asked.tag}" if asked.what == "tag" else PAST[asked.what]
    if done.count:
        messages.success(request, f"{done.count:,} run{'s' if done.count > 1 else ''} {past}.")
    if done.refused:
        more = f" ({len(done.refused) - 1:,} more like it)" if len(done.refused) > 1 else ""
        messages.warning(request, done.refused[0] + more)


def _back(request: PageRequest, slug: str) -> str:
    target = request.POST.get("back", "")
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if safe and target else reverse("runs", args=[slug])
