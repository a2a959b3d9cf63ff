"""Every read of runs: what people see, what workers fetch. Tables of runs are in tables.py."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import Count, F, Prefetch, Q, QuerySet
from django.db.models.functions import Now

from gpu_jobs.anatomy import ADAPTER_FILES
from webapp.accounts.models import Project, User
from webapp.accounts.roles import projects_of
from webapp.runs.models import Artifact, Attempt, LogLine, Queue, QueuePlace, Run, Upload, Worker
from webapp.runs.states import ACTIVE, Status

MODEL_FOLDER = "model"


def visible(user: User) -> QuerySet[Run]:
    """The runs that a person can read, deleted ones left out."""
    return Run.objects.filter(deleted_at=None, project__in=projects_of(user)).select_related("project", "created_by")


def queue_order(queue: str) -> QuerySet[Run]:
    """The queued runs of a queue in THE order, each with its `position` from 1."""
    waiting = Run.objects.filter(queue_id=queue, status=Status.QUEUED, deleted_at=None).select_related("project")
    return waiting.annotate(position=F("place__position")).order_by("place__position")


def positions(run_ids: Iterable[int]) -> dict[int, int]:
    """The place in its queue of each run that is queued; 1 is claimed next."""
    return dict(QueuePlace.objects.filter(run_id__in=list(run_ids)).values_list("run_id", "position"))


def waits_for(run: Run) -> list[Run]:
    """The unfinished runs whose model a queued run needs before it can be claimed."""
    if run.status != Status.QUEUED:
        return []
    unfinished = Q(status__in=[Status.QUEUED, Status.PAUSED, *ACTIVE])
    return list(Run.objects.filter(unfinished, uses__run=run).select_related("project").order_by("id"))


def children(run: Run) -> QuerySet[Run]:
    """The runs that start from this run's model."""
    return Run.objects.filter(inputs__source=run, deleted_at=None).distinct().order_by("id")


def counts(projects: Iterable[Project]) -> dict[int, dict[str, int]]:
    """{project id: {status: number of runs}}, without the statuses that have none."""
    found: dict[int, dict[str, int]] = {project.pk: {} for project in projects}
    runs = Run.objects.filter(project_id__in=found, deleted_at=None).order_by()
    for project_id, status, number in runs.values_list("project_id", "status").annotate(number=Count("id")):
        found[project_id][status] = number
    return found


def queues() -> QuerySet[Queue]:
    """Every queue with `waiting` and `active` runs and `workers` that serve it and take new runs."""
    living = Q(runs__deleted_at=None)
    return Queue.objects.annotate(
        waiting=Count("runs", living & Q(runs__status=Status.QUEUED)),
        active=Count("runs", living & Q(runs__status__in=ACTIVE) & ~Q(runs__kind="external")),
    ).order_by("name")  # grouping drops the model's own order


def workers(gone_for: timedelta = timedelta(hours=1)) -> QuerySet[Worker]:
    """Living workers, then those that stopped lately, each with its living attempts in `live`."""
    live = Attempt.objects.filter(ended_at=None).select_related("run__project").order_by("started_at")
    recent = Q(stopped_at=None) | Q(stopped_at__gt=Now() - gone_for)
    return (
        Worker.objects.filter(recent)
        .prefetch_related(Prefetch("attempts", live, to_attr="live"))
        .order_by(F("stopped_at").desc(nulls_first=True), "name")
    )


def living_workers() -> QuerySet[Worker]:
    """Those that have not signed off and were heard of lately."""
    return Worker.objects.filter(stopped_at=None, heartbeat_at__gt=Now() - timedelta(seconds=settings.SILENT_S))


class DeviceSize(NamedTuple):
    """A device that living workers have, by its name and memory."""

    name: str
    bytes: int


def device_sizes() -> list[DeviceSize]:
    """Those that living workers have, each once, the largest first."""
    told = (device for worker in living_workers() for device in worker.devices)
    sizes = {DeviceSize(str(device.get("name")), int(device.get("memory_bytes") or 0)) for device in told}
    return sorted((size for size in sizes if size.bytes), key=lambda size: -size.bytes)


def log_after(run: Run, line_id: int = 0, *, limit: int = 1000) -> QuerySet[LogLine]:
    """Log lines after one, oldest first."""
    return LogLine.objects.filter(run=run, id__gt=line_id).order_by("id")[:limit]


def log_tail(run: Run, before_id: int | None = None, *, limit: int = 1000) -> list[LogLine]:
    """The last lines (before one), oldest first."""
    lines = LogLine.objects.filter(run=run)
    if before_id is not None:
        lines = lines.filter(id__lt=before_id)
    return list(lines.order_by("-id")[:limit])[::-1]


def resume_point(run: Run) -> tuple[str, int] | None:
    """(folder, step) of the latest checkpoint that is complete in the storage, or None."""
    checkpoints = run.artifacts.filter(type=Artifact.Type.CHECKPOINT, step__isnull=False)
    latest = checkpoints.order_by("-step").values_list("folder", "step").first()
    return (latest[0], latest[1]) if latest and latest[1] is not None else None


def folder(run: Run, name: str) -> list[Artifact]:
    """The files of a checkpoint's or a model's folder, with their blobs."""
    return list(run.artifacts.filter(folder=name).select_related("blob").order_by("path"))


def model_files(run: Run) -> list[Artifact]:
    """The files of a run's model, with their blobs; empty while there is none."""
    return list(run.artifacts.filter(type=Artifact.Type.MODEL).select_related("blob").order_by("path"))


def inputs_of(run: Run) -> dict[str, list[Artifact]]:
    """The files to fetch before a run starts: "run:1" -> its model's files, "upload:3" -> one file.

    An adapter's base comes along as "run:1/base" (and the base of that as "run:1/base/base"). An upload is told as an
    unsaved artifact named like the upload. An input that is gone, or has no model, has an empty list.
    """
    found: dict[str, list[Artifact]] = {}
    for item in run.inputs.select_related("source", "upload__blob"):
        if item.upload is not None:
            found[item.name] = [_as_artifact(run, item.upload)]
        elif item.source is not None:
            found |= _with_bases(item.name, item.source)
        else:
            found[item.name] = []
    return found


def _as_artifact(run: Run, upload: Upload) -> Artifact:
    return Artifact(run=run, path=upload.name, type=Artifact.Type.FILE, blob=upload.blob)


def _with_bases(name: str, source: Run) -> dict[str, list[Artifact]]:
    """A model is an adapter when it has PEFT's or our own config of one; its base is the run it was trained from."""
    files = model_files(source)
    found = {name: files}
    if any(file.path.rsplit("/", 1)[-1] in ADAPTER_FILES for file in files):
        base = (source.spec.get("model") or {}).get("run")
        trained_from = source.inputs.filter(name=f"run:{base}").select_related("source").first()
        if trained_from is not None and trained_from.source is not None:
            found |= _with_bases(f"{name}/base", trained_from.source)
    return found
