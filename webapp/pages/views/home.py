from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from webapp.accounts.roles import projects_of
from webapp.http import PROJECT_KEY, PageRequest
from webapp.pages import frame


@require_safe
@login_required
def home(request: PageRequest) -> HttpResponse:
    """The runs of the project visited last, else of the first; without any, where one is made."""
    slugs = list(projects_of(request.user).values_list("slug", flat=True))
    if not slugs:
        return redirect("projects")
    last = request.session.get(PROJECT_KEY)
    return redirect("runs", last if last in slugs else slugs[0])


@require_safe
@login_required
def capacity(request: PageRequest) -> HttpResponse:
    """The slots in the bar, polled by every open page."""
    return render(request, "parts/capacity.html", {"capacity": frame.counts().capacity})
