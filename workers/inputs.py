"""What a run needs on this worker's disk before it starts: the models and data that it names, and its checkpoint."""

from __future__ import annotations

from pathlib import Path

from webapp.runs import blobs, queries
from webapp.runs.models import Artifact, Run
from webapp.runs.paths import confined
from workers import cache
from workers.errors import InputGone


def fetch(run: Run, to: Path) -> dict[str, Path]:
    """ "run:1" -> its model folder (an adapter's base in `base/`), "upload:3" -> the file. Raises InputGone."""
    found: dict[str, Path] = {}
    for name, artifacts in queries.inputs_of(run).items():
        if not artifacts:
            raise InputGone(name)
        whole, _, part = name.partition("/")
        folder = to / whole.replace(":", "-")
        for artifact in artifacts:
            inside = confined(artifact.path).removeprefix(f"{artifact.folder}/")
            cache.place(artifact.blob, folder / part / inside)
            found.setdefault(whole, folder if artifact.folder else folder / inside)
    return found


def fetch_checkpoint(run: Run, to: Path) -> tuple[Path | None, int]:
    """The folder and step of the latest complete checkpoint; (None, 0) when there is none."""
    point = queries.resume_point(run)
    if point is None:
        return None, 0
    folder, step = point
    for artifact in Artifact.objects.filter(run=run, folder=folder).select_related("blob"):
        blobs.fetch(artifact.blob, to / confined(artifact.path).removeprefix(f"{folder}/"))
    return to, step
