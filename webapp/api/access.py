"""Guards: what a person is no member of does not exist (404); what they may see but not change is refused (403)."""

from __future__ import annotations

from webapp.accounts.models import Project, Role, User
from webapp.accounts.roles import allows, projects_of
from webapp.api.errors import Forbidden, NotFound
from webapp.runs.models import Run
from webapp.runs.queries import visible
from webapp.scaling.ladder_queries import visible as visible_ladders
from webapp.scaling.models import Fit, Ladder
from webapp.scaling.queries import visible as visible_fits
from webapp.sweeps.models import Schedule, Sweep, Trial
from webapp.sweeps.queries import visible as visible_sweeps
from webapp.sweeps.scheduling.queries import visible as visible_schedules

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
    run = visible(user).select_related("project").filter(pk=run_id).first() if 0 < run_id <= LARGEST_ID else None
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    require(user, run.project, needed)
    return run


def sweep_or_404(user: User, sweep_id: int, needed: Role = Role.VIEWER) -> Sweep:
    """Raises NotFound when it is not theirs to see, Forbidden when their role in its project is below `needed`."""
    sweep = visible_sweeps(user).filter(pk=sweep_id).first() if 0 < sweep_id <= LARGEST_ID else None
    if sweep is None:
        raise NotFound(f"There is no sweep {sweep_id}.")
    require(user, sweep.project, needed)
    return sweep


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
    fit = visible_fits(user).filter(pk=fit_id).first() if 0 < fit_id <= LARGEST_ID else None
    if fit is None:
        raise NotFound(f"There is no fit {fit_id}.")
    require(user, fit.project, needed)
    return fit


def schedule_or_404(user: User, schedule_id: int, needed: Role = Role.VIEWER) -> Schedule:
    """Raises NotFound when it is not theirs to see, Forbidden when their role in its project is below `needed`."""
    schedule = visible_schedules(user).filter(pk=schedule_id).first() if 0 < schedule_id <= LARGEST_ID else None
    if schedule is None:
        raise NotFound(f"There is no schedule {schedule_id}.")
    require(user, schedule.project, needed)
    return schedule


def ladder_or_404(user: User, ladder_id: int, needed: Role = Role.VIEWER) -> Ladder:
    """Raises NotFound when it is not theirs to see, Forbidden when their role in its project is below `needed`."""
    ladder = visible_ladders(user).filter(pk=ladder_id).first() if 0 < ladder_id <= LARGEST_ID else None
    if ladder is None:
        raise NotFound(f"There is no ladder {ladder_id}.")
    require(user, ladder.project, needed)
    return ladder


def require(user: User, project: Project, needed: Role) -> None:
    if not allows(user, project, needed):
        raise Forbidden(f"This needs the role {needed.value} in the project {project.slug}: ask one of its owners.")


def operator_or_403(user: User) -> None:
    """Queues and workers serve every project, so only the people who run this installation change them."""
    if not user.is_superuser:
        raise Forbidden("Queues and workers serve every project: only an administrator may change them.")
