"""Who may do what in which project. A superuser is an owner everywhere."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db.models import OuterRef, QuerySet, Subquery, Value

from webapp.accounts.models import Membership, Project, Role, User

RISING = (Role.VIEWER, Role.EDITOR, Role.OWNER)


def role_of(user: User | AnonymousUser, project: Project) -> Role | None:
    """The role a person has in a project; None for strangers, inactive people and anonymous visitors."""
    if not isinstance(user, User) or not user.is_active:
        return None
    if user.is_superuser:
        return Role.OWNER
    role = Membership.objects.filter(user=user, project=project).values_list("role", flat=True).first()
    return Role(role) if role else None


def allows(user: User | AnonymousUser, project: Project, needed: Role) -> bool:
    """True when the person's role is `needed` or higher."""
    return suffices(role_of(user, project), needed)


def suffices(role: Role | None, needed: Role) -> bool:
    return role is not None and RISING.index(role) >= RISING.index(needed)


def role_column(user: User) -> Subquery | Value:
    """What role_of says of the project of each row, as a column of a query. The person must be active."""
    if user.is_superuser:
        return Value(Role.OWNER.value)
    memberships = Membership.objects.filter(user=user, project=OuterRef("project"))
    return Subquery(memberships.values("role")[:1])


def projects_of(user: User | AnonymousUser) -> QuerySet[Project]:
    """The projects a person can read, by name."""
    if not isinstance(user, User) or not user.is_active:
        return Project.objects.none()
    if user.is_superuser:
        return Project.objects.all()
    return Project.objects.filter(memberships__user=user)
