"""A project with people, specs, a worker, and runs brought into any state by the real actions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.db import connections

from webapp.accounts import actions as accounts
from webapp.accounts.models import Project, User
from webapp.runs import actions, blobs
from webapp.runs.models import Attempt, Run, Worker

SPEC: dict[str, Any] = {
    "kind": "pretrain",
    "model": {"source": "builtin", "name": "nano"},
    "data": {"source": "builtin", "name": "language-reference"},
    "steps": 100,
}


def finetune_of(run: Run) -> dict[str, Any]:
    return {
        **SPEC,
        "kind": "finetune",
        "model": {"source": "run", "run": run.id},
        "method": {"name": "lora", "rank": 8},
    }


def person(name: str = "ada") -> User:
    return User.objects.filter(username=name).first() or accounts.create_user(name)


def project(name: str = "Alpha", owner: User | None = None) -> Project:
    return Project.objects.filter(name=name).first() or accounts.create_project(owner or person(), name)


def submit(where: Project | None = None, **fields: Any) -> Run:
    where = where or project()
    fields.setdefault("user", person())
    spec = {**SPEC, **fields.pop("changes", {})}
    return actions.submit(project=where, spec=fields.pop("spec", spec), **fields)


def worker(name: str = "w", slots: int = 1, queues: Sequence[str] = ("default",)) -> Worker:
    return actions.register_worker(name=name, hostname="host", pid=1, slots=slots, queues=queues)


def claim(by: Worker | None = None, free: int = 1) -> Attempt | None:
    by = by or Worker.objects.filter(stopped_at=None).first() or worker()
    return actions.claim(by, by.queues, list(range(free)))


def claimed(**fields: Any) -> Attempt:
    """A run that is starting. It must be the best of its queue."""
    run = submit(**fields)
    attempt = claim(free=run.gpus)
    assert attempt is not None and attempt.run_id == run.id
    return attempt


def running(**fields: Any) -> Attempt:
    attempt = claimed(**fields)
    actions.started(attempt, {"parameters": {"total": 10, "trainable": 10}}, {"seed": 0}, 0, 100)
    attempt.run.refresh_from_db()
    return attempt


def checkpoint(attempt: Attempt, step: int, path: Path) -> None:
    """Two real files in the storage under checkpoints/step-N."""
    folder = f"checkpoints/step-{step}"
    entries = []
    for name in ("model.safetensors", "trainer.json"):
        file = path / f"{step}-{name}"
        file.write_bytes(f"{name} at {step}".encode())
        entries.append(actions.NewArtifact(f"{folder}/{name}", blobs.store(file), "checkpoint", folder, step))
    actions.add_artifacts(attempt, entries)


def model(attempt: Attempt, path: Path, files: Sequence[str] = ("config.json", "model.safetensors")) -> None:
    """Real files under model/."""
    entries = []
    for name in files:
        file = path / f"{attempt.pk}-{name}"
        file.write_bytes(f"{name} of {attempt.run_id}".encode())
        entries.append(actions.NewArtifact(f"model/{name}", blobs.store(file), "model", "model"))
    actions.add_artifacts(attempt, entries)


def in_threads(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Runs all at once, each on its own database connection; returns what each returned or raised."""
    results: list[Any] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def work(place: int) -> None:
        try:
            gate.wait()
            results[place] = calls[place]()
        except Exception as error:
            results[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
