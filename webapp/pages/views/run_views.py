from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, Role
from webapp.accounts.roles import allows
from webapp.http import PageRequest, project_for
from webapp.metrics.table.keys import keys_of
from webapp.pages.runs.query import TEXTS, Query
from webapp.pages.runs.tools import LONGEST, address_of, text_of
from webapp.runs import saved_views
from webapp.runs.models import SavedView
from webapp.runs.saved_views import Shown


@require_safe
@login_required
def views(request: PageRequest, slug: str) -> HttpResponse:
    """All of a project's saved views; editors rename and delete them here, and choose the default."""
    project = project_for(request, slug)
    context = {
        "project": project,
        "views": [(view, Shown.of_view(view).fields().items()) for view in saved_views.views_of(project)],
        "may_edit": allows(request.user, project, Role.EDITOR),
        "crumbs": [{"label": "Runs", "url": f"{reverse('runs', args=[slug])}?view="}, {"label": "Views"}],
    }
    return render(request, "pages/run_views.html", context)


@require_safe
@login_required
def view(request: PageRequest, slug: str, view_id: int) -> HttpResponse:
    """The link of a view: leads to the table that it shows."""
    return redirect(address_of(_view(project_for(request, slug), view_id)))


@require_POST
@login_required
def view_save(request: PageRequest, slug: str) -> HttpResponse:
    """Keeps what the table shows (`shown` is the query of its address) under a name, for everybody in the project."""
    project = project_for(request, slug, Role.EDITOR)
    name, is_default = request.POST.get("name", ""), "is_default" in request.POST
    asked = QueryDict(request.POST.get("shown", ""))
    try:
        saved = saved_views.save(project, request.user, name, _shown(asked), is_default=is_default)
    except Invalid as error:
        messages.error(request, str(error).partition("\n")[0])
        return redirect(f"{reverse('runs', args=[slug])}?{asked.urlencode() or 'view='}")
    messages.success(request, f"The view {saved.name} is saved.")
    return redirect(address_of(saved))


@require_POST
@login_required
def view_change(request: PageRequest, slug: str, view_id: int) -> HttpResponse:
    """Renames a view, and makes it the project's default or one like the others."""
    found = _view(project_for(request, slug, Role.EDITOR), view_id)
    try:
        saved_views.change(found, name=request.POST.get("name"), is_default="is_default" in request.POST)
    except Invalid as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"The view {found.name} is changed.")
    return redirect("run-views", slug)


@require_POST
@login_required
def view_delete(request: PageRequest, slug: str, view_id: int) -> HttpResponse:
    found = _view(project_for(request, slug, Role.EDITOR), view_id)
    saved_views.delete(found)
    messages.success(request, f"The view {found.name} is deleted.")
    return redirect("run-views", slug)


def _view(project: Project, view_id: int) -> SavedView:
    found: SavedView | None = project.views.filter(pk=view_id).first() if view_id < 2**63 else None
    if found is None:
        raise Http404(f"There is no view {view_id} in {project.name}; it may have been deleted.")
    return found


def _shown(asked: QueryDict) -> Shown:
    """Raises Invalid."""
    query = Query.of(asked)
    told = {name: getattr(query, name) for name in TEXTS} | {name: text_of(asked, name) for name in LONGEST}
    if told["group"]:
        keys_of(told["group"])
    return Shown.of({**told, "columns": query.columns})
