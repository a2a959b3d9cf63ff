"""One project with a person in each role, runs in the states that matter, and everything else the routes speak of."""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.metrics import pictures
from tests.runs import scene
from tests.scaling import ladders
from tests.scaling import scene as scaling
from tests.sweeps import scene as sweeps
from tests.sweeps.comparison import masks
from webapp.accounts import actions as accounts
from webapp.accounts.models import ApiToken, Project, Role, User
from webapp.metrics import actions as metrics
from webapp.metrics.media import items
from webapp.metrics.media.actions import log_media
from webapp.runs import actions, blobs, saved_views
from webapp.runs.models import Run, SavedView, Upload, Worker
from webapp.runs.saved_views import Shown
from webapp.scaling import queries as fits
from webapp.scaling.models import Fit, Ladder
from webapp.sweeps import actions as sweep_actions
from webapp.sweeps import registry, studies
from webapp.sweeps.models import Schedule, Sweep, Trial
from webapp.sweeps.scheduling import actions as schedules
from webapp.sweeps.studies import Study

ROLES = ("owner", "editor", "viewer", "stranger", "anonymous")


class World:
    """Things are made when they are first asked for, by the real actions."""

    def __init__(self) -> None:
        self.owner = accounts.create_user("owner")
        self.project: Project = accounts.create_project(self.owner, "Alpha")

    @cached_property
    def editor(self) -> User:
        return self._member("editor", Role.EDITOR)

    @cached_property
    def viewer(self) -> User:
        return self._member("viewer", Role.VIEWER)

    @cached_property
    def stranger(self) -> User:
        """A member of another project only."""
        user = accounts.create_user("stranger")
        accounts.create_project(user, "Beta")
        return user

    @cached_property
    def admin(self) -> User:
        return accounts.ensure_admin()

    @cached_property
    def run(self) -> Run:
        return actions.submit(project=self.project, spec=scene.SPEC, user=self.owner, name="nano")

    @cached_property
    def paused(self) -> Run:
        return actions.pause(actions.submit(project=self.project, spec=scene.SPEC, user=self.owner))

    @cached_property
    def cancelled(self) -> Run:
        return actions.cancel(actions.submit(project=self.project, spec=scene.SPEC, user=self.owner))

    @cached_property
    def external(self) -> Run:
        """With two points of `loss`."""
        run = actions.create_external(project=self.project, user=self.owner, name="outside")
        metrics.log_external(run, {"loss": {"step": [1, 2], "value": [4.0, 3.0], "time": [10.0, 11.0]}})
        return run

    @cached_property
    def pictured(self) -> Run:
        """With one picture of one pixel, `a/picture`."""
        log_media(self.external, [items.image("a/picture", pictures.png(1, 1))])
        return self.external

    @cached_property
    def trained(self) -> Run:
        """A running run with a model of two files."""
        attempt = scene.running(where=self.project, user=self.owner)
        with tempfile.TemporaryDirectory() as folder:
            scene.model(attempt, Path(folder))
        run: Run = attempt.run
        return run

    @cached_property
    def masked(self) -> list[Run]:
        """Two runs with masks of one layer that keep a half each, and share a quarter of what either kept."""
        return [masks.pruned(self.project, self.owner, {"layer": kept}) for kept in masks.HALVES]

    @cached_property
    def upload(self) -> Upload:
        return actions.add_upload(project=self.project, user=self.owner, name="a.txt", chunks=[b"some text"])

    @cached_property
    def view(self) -> SavedView:
        return saved_views.create(self.project, self.owner, "a view", Shown(q="lora"))

    @cached_property
    def worker(self) -> Worker:
        return scene.worker()

    @cached_property
    def sweep(self) -> Sweep:
        """Running, with two trials whose runs wait."""
        return sweeps.advanced(sweeps.create(project=self.project, user=self.owner))

    @cached_property
    def study(self) -> Study:
        entry = registry.entries("protocols")["eval_variance"]
        knobs = studies.knobs_of(entry, {"seeds": 3})
        return studies.start(entry=entry, project=self.project, user=self.owner, knobs=knobs, spec=scene.SPEC)

    @cached_property
    def paused_sweep(self) -> Sweep:
        return sweep_actions.pause(sweeps.create(project=self.project, user=self.owner), self.owner)

    @cached_property
    def cancelled_trial(self) -> Trial:
        trial: Trial = self.sweep.trials.get(number=1)
        return sweep_actions.cancel_trial(trial, self.owner)

    @cached_property
    def fit(self) -> Fit:
        """Of a table; its first revision waits."""
        return scaling.create_fit(project=self.project, user=self.owner, spec=scaling.table(), name="a law")

    @cached_property
    def done_fit(self) -> Fit:
        """Its first revision has succeeded, without a bootstrap."""
        fit = scaling.create_fit(project=self.project, user=self.owner, spec=scaling.table(), name="a law")
        scaling.fitted(fits.pending(fit))
        return fit

    @cached_property
    def schedule(self) -> Schedule:
        return schedules.create(
            project=self.project,
            user=self.owner,
            name="nightly",
            cron="0 2 * * *",
            action={"run": {"spec": scene.SPEC}},
        )

    @cached_property
    def ladder(self) -> Ladder:
        """Twelve runs wait."""
        return ladders.create(project=self.project, user=self.owner)

    def token_of(self, name: str) -> ApiToken:
        return accounts.create_token(getattr(self, name), "a token")[0]

    def client(self, name: str) -> Client:
        """Carries a person's bearer token; `anonymous` carries none."""
        if name == "anonymous":
            return Client()
        return bearer(accounts.create_token(getattr(self, name), "test")[1])

    def _member(self, name: str, role: Role) -> User:
        user = accounts.create_user(name)
        accounts.set_member(self.project, user, role)
        return user


def bearer(token: str) -> Client:
    return Client(headers={"authorization": f"Bearer {token}"})


def post(client: Client, path: str, body: Any, method: str = "POST") -> Any:
    if isinstance(body, Form):
        return client.post(f"/api/v1{path}", {name: _part(value) for name, value in body.items()})
    return client.generic(method, f"/api/v1{path}", _json(body), content_type="application/json")


class Form(dict[str, Any]):
    """A body to be sent as multipart/form-data; bytes are a file."""


def _part(value: Any) -> Any:
    return SimpleUploadedFile("file", value) if isinstance(value, bytes) else value


def _json(body: Any) -> bytes:
    import json

    return body if isinstance(body, bytes) else json.dumps(body).encode()


__all__ = ["ROLES", "Form", "World", "bearer", "blobs", "post"]
