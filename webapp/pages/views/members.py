from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts import actions, queries
from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, Role, User
from webapp.http import PageRequest, project_for, respond
from webapp.pages.forms.accounts import MemberForm
from webapp.pages.forms.bound import show_errors


@require_http_methods(["GET", "POST"])
@login_required
def members(request: PageRequest, slug: str) -> HttpResponse:
    """GET for everybody in the project; POST adds somebody."""
    project = project_for(request, slug, Role.VIEWER if request.method == "GET" else Role.OWNER)
    form = MemberForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _added(request, project, form):
        return redirect("project-members", slug)
    context = {"project": project, "members": queries.members(project), "form": form, "roles": Role}
    context["owns"] = request.role == Role.OWNER
    return render(request, "pages/members.html", context, status=422 if form.is_bound else 200)


def _added(request: PageRequest, project: Project, form: MemberForm) -> bool:
    user: User = form.cleaned_data["username"]
    try:
        membership = actions.set_member(project, user, form.cleaned_data["role"])
    except Invalid as error:
        show_errors(form, error.errors)
        return False
    messages.success(request, f"{user.username} is now {membership.role} of {project.name}.")
    return True


@require_POST
@login_required
def member_role(request: PageRequest, slug: str, user_id: int) -> HttpResponse:
    project = project_for(request, slug, Role.OWNER)
    user = _member(project, user_id)
    try:
        actions.set_member(project, user, request.POST.get("role", ""))
    except Invalid as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{user.username} is now {request.POST['role']}.")
    return redirect("project-members", slug)


@require_http_methods(["GET", "POST"])
@login_required
def member_remove(request: PageRequest, slug: str, user_id: int) -> HttpResponse:
    """GET asks, POST does. An owner may remove anybody, and everybody may leave."""
    needed = Role.VIEWER if user_id == request.user.pk else Role.OWNER
    project = project_for(request, slug, needed)
    user = _member(project, user_id)
    back = reverse("project-members", args=[slug])
    if request.method == "GET":
        return respond(request, "pages/confirm.html", "parts/confirm.html", _question(request, project, user, back))
    try:
        actions.remove_member(project, user)
    except Invalid as error:
        messages.error(request, str(error))
        return redirect(back)
    messages.success(request, f"{user.username} is no longer in {project.name}.")
    return redirect("projects" if user == request.user and not user.is_superuser else back)


def _member(project: Project, user_id: int) -> User:
    return get_object_or_404(User, pk=user_id, memberships__project=project)


def _question(request: PageRequest, project: Project, user: User, back: str) -> dict[str, str]:
    leaves = user == request.user
    return {
        "title": f"Leave {project.name}?" if leaves else f"Remove {user.username} from {project.name}?",
        "text": ("You lose" if leaves else f"{user.username} loses") + " access to its runs. Runs stay as they are.",
        "action": "Leave" if leaves else "Remove",
        "url": request.path,
        "back": back,
    }
