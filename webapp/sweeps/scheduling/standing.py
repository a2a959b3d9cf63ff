"""For whom a schedule acts, and whether they still may."""

from __future__ import annotations

from webapp.accounts.models import Project, Role, User
from webapp.accounts.roles import allows
from webapp.sweeps.models import Schedule

TAKE_OVER = "An editor who enables it again takes it over."


def why_lost(schedule: Schedule) -> str:
    """Why it may begin nothing any more, in sentences; empty while it may."""
    if not _has_owner(schedule.project):
        return f"{schedule.project.name} has no active owner any more. Give it one, then enable the schedule again."
    return _why_not(schedule.created_by, schedule.project)


def _has_owner(project: Project) -> bool:
    return project.memberships.filter(role=Role.OWNER, user__is_active=True).exists()


def _why_not(user: User | None, project: Project) -> str:
    if user is None:
        return f"The account of the person for whom it acted is gone. {TAKE_OVER}"
    if not user.is_active:
        return f"{user.username}, for whom it acts, is no longer active. {TAKE_OVER}"
    if not allows(user, project, Role.EDITOR):
        return f"{user.username}, for whom it acts, is no longer an editor of {project.name}. {TAKE_OVER}"
    return ""
