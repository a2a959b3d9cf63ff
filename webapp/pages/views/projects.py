from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Max, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from webapp.accounts import actions
from webapp.accounts.errors import Invalid
from webapp.accounts.models import Role
from webapp.accounts.roles import projects_of
from webapp.http import PageRequest, project_for
from webapp.pages.forms.accounts import ProjectForm
from webapp.pages.forms.bound import show_errors
from webapp.runs.states import ACTIVE


@require_safe
@login_required
def projects(request: PageRequest) -> HttpResponse:
    live = Q(runs__deleted_at=None)
    rows = projects_of(request.user).annotate(
        run_count=Count("runs", filter=live, distinct=True),
        active_count=Count("runs", filter=live & Q(runs__status__in=ACTIVE), distinct=True),
        member_count=Count("memberships", distinct=True),
        last_run_at=Max("runs__created_at", filter=live),
    )
    return render(request, "pages/projects.html", {"projects": rows, "crumbs": [{"label": "Projects"}]})


@require_http_methods(["GET", "POST"])
@login_required
def project_new(request: PageRequest) -> HttpResponse:
    form = ProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            project = actions.create_project(request.user, form.cleaned_data["name"])
        except Invalid as error:
            show_errors(form, error.errors)
        else:
            messages.success(request, f"{project.name} is ready for its first run.")
            return redirect("runs", project.slug)
    context = {"form": form, "crumbs": [{"label": "New project"}]}
    return render(request, "pages/project_new.html", context, status=422 if form.is_bound else 200)


@require_safe
@login_required
def project(request: PageRequest, slug: str) -> HttpResponse:
    project_for(request, slug)
    return redirect("runs", slug)


@require_http_methods(["POST"])
@login_required
def project_rename(request: PageRequest, slug: str) -> HttpResponse:
    project = project_for(request, slug, Role.OWNER)
    try:
        actions.rename_project(project, request.POST.get("name", ""))
    except Invalid as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"The project is now called {project.name}.")
    return redirect("project-members", slug)
