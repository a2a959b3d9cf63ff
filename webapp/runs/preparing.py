"""What the apps above do to a spec before it is queued: whoever submits, a form, the API, a sweep, a schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from gpu_jobs.spec import JobSpec
from webapp.accounts.errors import below
from webapp.accounts.models import Project
from webapp.runs.models import Run

Preparation: TypeAlias = Callable[[JobSpec, Project, Mapping[str, Any] | None], JobSpec]
_preparations: dict[str, Preparation] = {}


def register(kind: str, preparation: Preparation) -> None:
    """Called by an AppConfig when all models are there; of each kind there is one at most."""
    _preparations[kind] = preparation


def prepared(spec: JobSpec, project: Project, cloned_from: Run | None) -> JobSpec:
    """The spec as it is to be queued. Raises Invalid, each `loc` beginning with "spec"."""
    preparation = _preparations.get(spec.kind)
    if preparation is None:
        return spec
    with below("spec"):
        return preparation(spec, project, cloned_from.spec if cloned_from else None)
