"""Runs with any specs, tags and measured values, written straight into the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.runs import scene
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs.models import Queue, Run

Told = Mapping[str, Any]


def make(told: Sequence[Told]) -> list[Run]:
    """One run for each, in place of all others: `spec`, `tags`, `status`, `name`, and `metrics` as name -> values."""
    Run.objects.all().delete()
    project, user = scene.project(), scene.person()
    Queue.objects.get_or_create(name="default")
    runs = [
        Run.objects.create(
            project=project, created_by=user, queue_id="default", kind="external", name=one.get("name", f"run {place}"),
            spec=one.get("spec", {}), tags=one.get("tags", []), status=one.get("status", "succeeded"),
        )
        for place, one in enumerate(told)
    ]  # fmt: skip
    for run, one in zip(runs, told, strict=True):
        for name, values in one.get("metrics", {}).items():
            store.append(run.pk, {name: Points.of(range(len(values)), values, [1.0] * len(values))})
    return runs
