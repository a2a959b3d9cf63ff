"""Saved views of a project's table of runs."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import reverse
from ninja import Router, Status

from webapp.accounts.models import Project, Role
from webapp.api.access import LARGEST_ID, project_or_404
from webapp.api.auth import user_of
from webapp.api.errors import NotFound
from webapp.api.schemas.tables import ViewChanges, ViewInput, ViewList, ViewOutput
from webapp.metrics.table.keys import keys_of
from webapp.runs import saved_views
from webapp.runs.models import SavedView
from webapp.runs.saved_views import Shown

router = Router()


@router.get("/{slug}/views", response=ViewList)
def list_views(request: HttpRequest, slug: str) -> ViewList:
    """By name."""
    project = project_or_404(user_of(request), slug)
    return ViewList(items=[_output(request, view) for view in saved_views.views_of(project)])


@router.post("/{slug}/views", response={201: ViewOutput})
def create_view(request: HttpRequest, slug: str, body: ViewInput) -> Status[ViewOutput]:
    """For editors."""
    user = user_of(request)
    project = project_or_404(user, slug, Role.EDITOR)
    view = saved_views.create(project, user, body.name, _checked(body.shown), is_default=body.is_default)
    return Status(201, _output(request, view))


@router.get("/{slug}/views/{int:view_id}", response=ViewOutput)
def get_view(request: HttpRequest, slug: str, view_id: int) -> ViewOutput:
    return _output(request, _view(project_or_404(user_of(request), slug), view_id))


@router.patch("/{slug}/views/{int:view_id}", response=ViewOutput)
def edit_view(request: HttpRequest, slug: str, view_id: int, body: ViewChanges) -> ViewOutput:
    """Renames it, changes what it shows, or makes it the project's default. For editors."""
    view = _view(project_or_404(user_of(request), slug, Role.EDITOR), view_id)
    shown = _checked(body.shown(view)) if body.changes_shown else None
    return _output(request, saved_views.change(view, name=body.name, shown=shown, is_default=body.is_default))


@router.delete("/{slug}/views/{int:view_id}", response={204: None})
def delete_view(request: HttpRequest, slug: str, view_id: int) -> Status[None]:
    """For editors."""
    saved_views.delete(_view(project_or_404(user_of(request), slug, Role.EDITOR), view_id))
    return Status(204, None)


def _view(project: Project, view_id: int) -> SavedView:
    found = project.views.filter(pk=view_id).first() if 0 < view_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no view {view_id} in {project.slug}.")
    return found


def _checked(shown: Shown) -> Shown:
    """Raises Invalid for a group that can't be."""
    if shown.group:
        keys_of(shown.group)
    return shown


def _output(request: HttpRequest, view: SavedView) -> ViewOutput:
    path = reverse("run-view", args=[view.project.slug, view.pk])
    return ViewOutput.of(view, request.build_absolute_uri(path))
