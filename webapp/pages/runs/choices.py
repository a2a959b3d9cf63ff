"""What the form of a new run offers to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webapp.accounts.models import Project, User
from webapp.runs.models import Artifact, Run
from webapp.runs.queries import visible
from webapp.runs.states import FINAL

MOST = 200


def bases(project: Project, user: User, spec: Mapping[str, Any] | None = None) -> list[Run]:
    """Runs whose model can be started from: the project's own first, newest first, those of sweeps after the others.

    Unfinished ones are waited for. What `spec` names already is there, however old it is.
    """
    runs = visible(user).exclude(kind="external").order_by("-id")
    named = list(runs.filter(pk__in=_named(spec or {})))
    newest = [*runs.filter(share="")[: 2 * MOST], *runs.exclude(share="")[: 2 * MOST]]
    with_model = set(
        Artifact.objects.filter(type=Artifact.Type.MODEL, run__in=newest).values_list("run_id", flat=True).distinct()
    )
    usable = [run for run in newest if run.pk in with_model or run.status not in FINAL][:MOST]
    found = named + [run for run in usable if run not in named]
    return sorted(found, key=lambda run: run.project_id != project.pk)


def _named(spec: Mapping[str, Any]) -> list[int]:
    """The runs that the spec takes a model from."""
    sources = [value for value in spec.values() if isinstance(value, Mapping) and value.get("source") == "run"]
    numbers = [str(source.get("run", "")) for source in sources]
    return [int(number) for number in numbers if number.isdecimal() and len(number) < 18]


def latest_base(project: Project) -> Run | None:
    """The run of the project that left a model last."""
    with_model = Artifact.objects.filter(type=Artifact.Type.MODEL, run__project=project, run__deleted_at=None)
    return Run.objects.filter(pk__in=with_model.values("run_id")).order_by("-id").first()
