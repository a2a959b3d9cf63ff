"""Real runs with real files of masks in the storage."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from safetensors.numpy import save_file

from tests.sweeps.comparison import scene
from webapp.accounts.models import Project, User
from webapp.runs import actions, blobs
from webapp.runs.models import Run

FILE = "masks.safetensors"
# 5 of 10 weights each, 2 of them shared: 2 of the 8 that either kept.
HALVES = ([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], [[1, 1, 0, 0, 0], [1, 1, 1, 0, 0]])


def write(path: Path, masks: Mapping[str, ArrayLike]) -> None:
    """As a run of kind prune writes them."""
    kept = {name: np.asarray(mask, bool) for name, mask in masks.items()}
    shapes = {name: f"{mask.shape[0]},{mask.shape[1]}" for name, mask in kept.items()}
    save_file({name: np.packbits(mask.reshape(-1)) for name, mask in kept.items()}, path, shapes)


def pruned(project: Project, user: User, masks: Mapping[str, ArrayLike], **changes: Any) -> Run:
    """A running run that has left these masks."""
    attempt = scene.begun(scene.queued(project, user, scene.FULL, **changes))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "masks"
        write(file, masks)
        actions.add_artifacts(attempt, [actions.NewArtifact(FILE, blobs.store(file), "file")])
    run: Run = Run.objects.get(pk=attempt.run_id)
    return run
