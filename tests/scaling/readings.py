"""Fits made by the real job, and read: in memory, or from the database and the storage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpu_jobs import spec as specs
from tests.gpu_jobs.kinds.fits import result
from tests.metrics.runs import make_run
from webapp.runs import blobs
from webapp.runs.models import Artifact, Run
from webapp.runs.states import Status
from webapp.scaling import reading
from webapp.scaling.draws import FILE, Draws, thinned
from webapp.scaling.reading import Reading


def fitted(spec: Mapping[str, Any], folder: Path, upload: Path | None = None) -> Reading:
    """Without a database."""
    run = Run(pk=7, name="a fit", kind="scaling_fit", status=Status.SUCCEEDED, spec=dict(spec))
    run.result = result(spec, folder, upload)
    columns = json.loads((folder / FILE).read_text())["draws"]
    return reading.of(run, specs.parse(spec), Draws({name: thinned(values) for name, values in columns.items()}))


def stored(read: Reading, folder: Path) -> Run:
    """The same fit as a row with its result and its artifact, as a worker leaves them."""
    run = make_run("scaling_fit")
    run.spec, run.status, run.result = read.spec.model_dump(mode="json"), Status.SUCCEEDED, read.result
    run.save()
    Artifact.objects.create(run=run, path=FILE, type=Artifact.Type.FILE, blob=blobs.store(folder / FILE))
    return Run.objects.get(pk=run.pk)
