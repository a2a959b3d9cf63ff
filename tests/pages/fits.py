"""Fits as a worker leaves them: the job really runs, its result and its file are stored."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

from gpu_jobs import spec as specs
from gpu_jobs.context import Context
from gpu_jobs.events import Result
from webapp.accounts.models import Project, User
from webapp.runs import actions, blobs
from webapp.runs.models import Attempt, Run
from webapp.runs.states import Status
from webapp.scaling import actions as fits
from webapp.scaling.models import Fit

LAW = {"E": 1.7, "A": 400.0, "B": 1800.0, "alpha": 0.34, "beta": 0.36}
SIZES, RATIOS = (1e7, 3e7, 1e8, 3e8), (5.0, 20.0, 80.0, 320.0)
WOBBLE = (0.004, -0.003, 0.002, -0.004, 0.001)  # of ln loss, so that resamples differ


def columns() -> dict[str, list[float | str | None]]:
    """16 points of a Chinchilla law that is known."""
    found: dict[str, list[float | str | None]] = {"N": [], "D": [], "loss": []}
    for place, (size, ratio) in enumerate((size, ratio) for size in SIZES for ratio in RATIOS):
        tokens = size * ratio
        loss = LAW["E"] + LAW["A"] / size ** LAW["alpha"] + LAW["B"] / tokens ** LAW["beta"]
        found["N"].append(size)
        found["D"].append(tokens)
        found["loss"].append(loss * (1 + WOBBLE[place % len(WOBBLE)]))
    return found


def spec(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "scaling_fit", "law": {"name": "chinchilla"}, "points": {"source": "table", "columns": columns()},
        "holdout": {"largest": 2}, "bootstrap": {"resamples": 60}, "polish": 4,
        "predict": [{"N": 7e10, "D": 1.4e12}], "frontier": [1e20], **changes,
    }  # fmt: skip


@functools.cache
def _fitted(text: str) -> tuple[str, str]:
    """(fit.json, the result as JSON) of a spec; the job takes a second, so each is run once."""
    parsed = specs.parse(json.loads(text))
    with tempfile.TemporaryDirectory() as folder:
        context = Context(Path(folder), Path(folder))
        from gpu_jobs.kinds import scaling_fit

        told = [event for event in scaling_fit.run(parsed, context) if isinstance(event, Result)]
        return (Path(folder) / "fit.json").read_text(), json.dumps(told[-1].values)


def run_of(project: Project, user: User, asked: dict[str, Any] | None = None) -> Run:
    """A run of this spec that has ended well."""
    return finish(actions.submit(project=project, spec=asked or spec(), user=user, name="chinchilla on a table"))


def finish(run: Run) -> Run:
    """Fits a queued run, as a worker would."""
    by = actions.register_worker(name="fitter", hostname="host", pid=1, slots=1, queues=[run.queue_id])
    attempt: Attempt | None = actions.claim(by, by.queues, [0])
    assert attempt is not None and attempt.run_id == run.pk
    actions.started(attempt, {}, {"seed": 0}, 0, 0)
    document, result = _fitted(json.dumps(run.spec))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fit.json"
        file.write_text(document)
        actions.add_artifacts(attempt, [actions.NewArtifact("fit.json", blobs.store(file), "file")])
    actions.finish(attempt, Status.SUCCEEDED, result=json.loads(result))
    return Run.objects.select_related("project").get(pk=run.pk)


def fit_of(project: Project, user: User, asked: dict[str, Any] | None = None, name: str = "by table") -> Fit:
    """A fit whose first revision has ended well."""
    fit = fits.create_fit(project=project, user=user, spec=asked or spec(), name=name)
    finish(fit.revisions.get().run)
    return fit
