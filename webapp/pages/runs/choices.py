"""What the form of a new run offers to choose from."""

from __future__ import annotations

from webapp.accounts.models import Project, User
from webapp.runs.models import Artifact, Run
from webapp.runs.queries import visible
from webapp.runs.states import FINAL

MOST = 200


def bases(project: Project, user: User) -> list[Run]:
    """Runs whose model can be started from: the project's own first, newest first. Unfinished ones are waited for."""
    runs = visible(user).exclude(kind="external").order_by("-id")
    with_model = set(Artifact.objects.filter(type=Artifact.Type.MODEL, run__in=runs).values_list("run_id", flat=True))
    usable = [run for run in runs[: 5 * MOST] if run.pk in with_model or run.status not in FINAL]
    return sorted(usable[:MOST], key=lambda run: run.project_id != project.pk)


def latest_base(project: Project) -> Run | None:
    """The run of the project that left a model last."""
    with_model = Artifact.objects.filter(type=Artifact.Type.MODEL, run__project=project, run__deleted_at=None)
    return Run.objects.filter(pk__in=with_model.values("run_id")).order_by("-id").first()
