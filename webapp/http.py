"""What every page view starts and ends with: whose project this is, and page or fragment."""

from __future__ import annotations

from typing import Any

from django.contrib.messages import get_messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails

from webapp.accounts.models import Project, Role, User
from webapp.accounts.roles import RISING, role_of

PROJECT_KEY = "project"  # in the session: the slug of the project last visited


class PageRequest(HttpRequest):
    """A request behind @login_required and HtmxMiddleware. `project` is set by project_for."""

    user: User
    htmx: HtmxDetails
    project: Project
    role: Role


def project_for(request: PageRequest, slug: str, needed: Role = Role.VIEWER) -> Project:
    """The project at `slug`, remembered as the current one.

    Raises Http404 to strangers, who learn nothing of its existence, and PermissionDenied when the role is too low.
    """
    project = Project.objects.filter(slug=slug).first()
    role = role_of(request.user, project) if project else None
    if project is None or role is None:
        raise Http404("There is no project at this address, or you are not a member of it.")
    require_role(project, role, needed)
    request.project, request.role = project, role
    if request.session.get(PROJECT_KEY) != slug:
        request.session[PROJECT_KEY] = slug
    return project


def require_role(project: Project, role: Role, needed: Role) -> None:
    """Raises PermissionDenied with a sentence that says which role it takes."""
    if RISING.index(role) < RISING.index(needed):
        raise PermissionDenied(f"This takes the role {needed} in {project.name}; yours is {role}.")


def require_operator(request: PageRequest) -> None:
    """Queues and workers serve every project: raises PermissionDenied to everybody but admins."""
    if not request.user.is_superuser:
        raise PermissionDenied("Queues and workers serve every project: only an admin may change them.")


def is_fragment(request: PageRequest) -> bool:
    """True when htmx asks for a part of the page; going back in the browser's history needs the whole one."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def respond(request: PageRequest, page: str, fragment: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """The fragment to htmx, the page that includes it to everybody else, from one address."""
    template = fragment if is_fragment(request) else page
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ("HX-Request",))
    if template == fragment and len(get_messages(request)):
        response.write(render_to_string("parts/toasts.html", {"oob": True}, request))
    return response
