"""Projects and their members."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Status

from webapp.accounts import actions, queries
from webapp.accounts.models import Membership, Project, Role, User
from webapp.accounts.roles import projects_of, role_of
from webapp.api.access import project_or_404
from webapp.api.auth import user_of
from webapp.api.errors import Invalid, NotFound
from webapp.api.schemas.projects import (
    MemberInput,
    MemberList,
    MemberOutput,
    ProjectInput,
    ProjectList,
    ProjectOutput,
    RoleInput,
)

router = Router()


@router.get("", response=ProjectList)
def list_projects(request: HttpRequest) -> ProjectList:
    """The projects you are a member of, by name."""
    user = user_of(request)
    roles = dict(user.memberships.values_list("project_id", "role"))
    return ProjectList(items=[ProjectOutput.of(project, _role(user, roles, project)) for project in projects_of(user)])


@router.post("", response={201: ProjectOutput})
def create_project(request: HttpRequest, body: ProjectInput) -> Status[ProjectOutput]:
    """You become its owner."""
    return Status(201, ProjectOutput.of(actions.create_project(user_of(request), body.name), Role.OWNER))


@router.get("/{slug}", response=ProjectOutput)
def get_project(request: HttpRequest, slug: str) -> ProjectOutput:
    user = user_of(request)
    return _project(user, project_or_404(user, slug))


@router.patch("/{slug}", response=ProjectOutput)
def rename_project(request: HttpRequest, slug: str, body: ProjectInput) -> ProjectOutput:
    """Changes the name that people read; the slug stays. For owners."""
    user = user_of(request)
    return _project(user, actions.rename_project(project_or_404(user, slug, Role.OWNER), body.name))


@router.get("/{slug}/members", response=MemberList)
def list_members(request: HttpRequest, slug: str) -> MemberList:
    """Owners, then editors, then viewers."""
    project = project_or_404(user_of(request), slug)
    return MemberList(items=[MemberOutput.of(membership) for membership in queries.members(project)])


@router.post("/{slug}/members", response={201: MemberOutput})
def add_member(request: HttpRequest, slug: str, body: MemberInput) -> Status[MemberOutput]:
    """Adds a person, or changes the role of one who is a member already. For owners."""
    project = project_or_404(user_of(request), slug, Role.OWNER)
    person = User.objects.filter(username=body.username, is_active=True).first()
    if person is None:
        raise Invalid([{"loc": ["username"], "msg": f"There is no person with the username {body.username!r}."}])
    return Status(201, MemberOutput.of(actions.set_member(project, person, body.role)))


@router.patch("/{slug}/members/{username}", response=MemberOutput)
def change_role(request: HttpRequest, slug: str, username: str, body: RoleInput) -> MemberOutput:
    """For owners. The last owner can't step down (409)."""
    project = project_or_404(user_of(request), slug, Role.OWNER)
    return MemberOutput.of(actions.set_member(project, _member(project, username).user, body.role))


@router.delete("/{slug}/members/{username}", response={204: None})
def remove_member(request: HttpRequest, slug: str, username: str) -> Status[None]:
    """For owners. The last owner can't be removed (409)."""
    project = project_or_404(user_of(request), slug, Role.OWNER)
    actions.remove_member(project, _member(project, username).user)
    return Status(204, None)


def _member(project: Project, username: str) -> Membership:
    membership = queries.members(project).filter(user__username=username).first()
    if membership is None:
        raise NotFound(f"{username!r} is no member of {project.slug}.")
    return membership


def _project(user: User, project: Project) -> ProjectOutput:
    return ProjectOutput.of(project, role_of(user, project) or Role.VIEWER)


def _role(user: User, roles: dict[int, str], project: Project) -> Role:
    return Role.OWNER if user.is_superuser else Role(roles[project.pk])
