from __future__ import annotations

from webapp.accounts.models import Project
from webapp.runs.models import Queue, Run
from webapp.runs.states import Status


def make_run(kind: str = "external") -> Run:
    project, _ = Project.objects.get_or_create(slug="lab", defaults={"name": "Lab"})
    Queue.objects.get_or_create(name="default")
    return Run.objects.create(project=project, name="a run", kind=kind, status=Status.RUNNING, queue_id="default")
