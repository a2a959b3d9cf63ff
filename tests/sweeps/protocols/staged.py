"""A study that goes on when its runs are over: pruned models of two seeds, which are then compared."""

from __future__ import annotations

from pathlib import Path

from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.accounts.models import Project, User
from webapp.sweeps import registry, studies
from webapp.sweeps.models import Sweep
from webapp.sweeps.studies import Study


def study(path: Path, project: Project | None = None, user: User | None = None) -> Study:
    """Two temperatures by two densities, of a base that has a model."""
    where, person = project or runs.project(), user or runs.person()
    base = runs.submit(where, user=person)
    attempt = scene.begin(base)
    runs.model(attempt, path)
    scene.end(attempt)
    spec = {"kind": "prune", "model": {"source": "run", "run": base.pk}, "data": runs.SPEC["data"],
            "retrain": {"steps": 10}}  # fmt: skip
    entry = registry.entries("protocols")["three_regime"]
    knobs = studies.knobs_of(entry, {"temperatures": ["10", "20"], "densities": [0.8, 0.5]})
    return studies.start(entry=entry, project=where, user=person, knobs=knobs, spec=spec)


def finish(sweep: Sweep, path: Path) -> None:
    """Every run ends with a loss and a model."""
    while scene.advanced(sweep).ended_at is None:
        for run in scene.waiting(sweep):
            attempt = scene.begin(run)
            scene.log(attempt, "eval/loss", {1: 2.0})
            runs.model(attempt, path)
            scene.end(attempt)
