"""Guards: what a person is no member of does not exist (404); what they may see but not change is refused (403)."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import QuerySet

from webapp.accounts.models import Project, Role, User
from webapp.accounts.roles import allows, projects_of, suffices
from webapp.api.errors import Forbidden, NotFound
from webapp.runs.feeding import fed
from webapp.runs.models import Run
from webapp.runs.queries import visible
from webapp.scaling.ladder_queries import visible as visible_ladders
from webapp.scaling.models import Fit, Ladder
from webapp.scaling.queries import visible as visible_fits
from webapp.sweeps.models import Schedule, Sweep, Trial
from webapp.sweeps.queries import visible as visible_sweeps
from webapp.sweeps.scheduling.queries import visible as visible_schedules

Owned = TypeVar("Owned", Run, Sweep, Fit, Schedule, Ladder)  # what belongs to a project
LARGEST_ID = 2**63 - 1
LARGEST_NUMBER = 2**31 - 1  # of a trial in its sweep


def project_or_404(user: User, slug: str, needed: Role = Role.VIEWER) -> Project:
    """Raises NotFound when it is not theirs to see, Forbidden when their role in it is below `needed`."""
    project = projects_of(user).filter(slug=slug).first()
    if project is None:
        raise NotFound(f"There is no project {slug!r}.")
    require(user, project, needed)
    return project


def run_or_404(user: User, run_id: int, needed: Role = Role.VIEWER) -> Run:
    """Raises NotFound when it is not theirs to see, Forbidden when their role in its project is below `needed`."""
    return _found(visible(user), user, run_id, needed)


def slim_run_or_404(user: User, run_id: int, needed: Role = Role.VIEWER) -> Run:
    """As run_or_404, in one small look-up that leaves the run's wide columns for later; see runs/feeding.py."""
    found = fed(user, run_id) if 0 < run_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no run {run_id}.")
    run, role = found
    if not suffices(role, needed):
        raise _too_low(run.project, needed)
    return run


def sweep_or_404(user: User, sweep_id: int, needed: Role = Role.VIEWER) -> Sweep:
    """Raises NotFound when it is not theirs to see, Forbidden when their role in its project is below `needed`."""
    return _found(visible_sweeps(user), user, sweep_id, needed)


def trial_or_404(user: User, sweep_id: int, number: int, needed: Role = Role.VIEWER) -> Trial:
    """A sweep's trial by its number, its `sweep` loaded. Raises as sweep_or_404 does."""
    sweep = sweep_or_404(user, sweep_id, needed)
    trial = Trial.objects.filter(sweep=sweep, number=number).first() if 0 < number <= LARGEST_NUMBER else None
    if trial is None:
        raise NotFound(f"Sweep {sweep_id} has no trial {number}.")
    trial.sweep = sweep
    return trial


def fit_or_404(user: User, fit_id: int, needed: Role = Role.VIEWER) -> Fit:
    """Raises NotFound when it is not theirs to see, Forbidden when their role in its project is below `needed`."""
    return _found(visible_fits(user), user, fit_id, needed)


def schedule_or_404(user: User, schedule_id: int, needed: Role = Role.VIEWER) -> Schedule:
    """Raises NotFound when it is not theirs to see, Forbidden when their role in its project is below `needed`."""
    return _found(visible_schedules(user), user, schedule_id, needed)


def ladder_or_404(user: User, ladder_id: int, needed: Role = Role.VIEWER) -> Ladder:
    """Raises NotFound when it is not theirs to see, Forbidden when their role in its project is below `needed`."""
    return _found(visible_ladders(user), user, ladder_id, needed)


def _found(theirs: QuerySet[Owned], user: User, number: int, needed: Role) -> Owned:
    found = theirs.filter(pk=number).first() if 0 < number <= LARGEST_ID else None
    if found is None:
        raise NotFound(f"There is no {theirs.model._meta.model_name} {number}.")
    require(user, found.project, needed)
    return found


def require(user: User, project: Project, needed: Role) -> None:
    if not allows(user, project, needed):
        raise _too_low(project, needed)


def _too_low(project: Project, needed: Role) -> Forbidden:
    return Forbidden(f"This needs the role {needed.value} in the project {project.slug}: ask one of its owners.")


def operator_or_403(user: User) -> None:
    """Queues and workers serve every project, so only the people who run this installation change them."""
    if not user.is_superuser:
        raise Forbidden("Queues and workers serve every project: only an administrator may change them.")
