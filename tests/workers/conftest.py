"""Fixtures of the bridge's tests. Models are imported late: Django is set up after this file is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_django import DjangoDbBlocker

    from tests.workers.scene import WorkerProcess
    from webapp.runs.models import Run


@pytest.fixture(scope="module")
def live_database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A database that other processes see, kept through a module so that its tests share a worker; emptied after it."""
    from django.core.management import call_command
    from django.db import connection
    from django.test.utils import setup_databases, teardown_databases

    with django_db_blocker.unblock():
        # pytest-django makes the database for tests that are marked, and these are not: it would empty it after each.
        is_there = connection.settings_dict["NAME"].startswith("test_")
        made = [] if is_there else setup_databases(0, interactive=False, aliases=["default"])
        yield
        call_command("flush", interactive=False, verbosity=0)
        connection.close()
        teardown_databases(made, 0)


@pytest.fixture(scope="module")
def start_worker(
    live_database: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., WorkerProcess]]:
    """start_worker("a", HONE_SLOTS="2") -> a worker process, gone when the module's tests have ended."""
    from tests.workers.scene import WorkerProcess

    folder = tmp_path_factory.mktemp("workers")
    started: list[WorkerProcess] = []

    def start(name: str = "a", **environment: str) -> WorkerProcess:
        started.append(WorkerProcess(name, folder / f"{name}.log", **environment))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.kill()
        print(f"--- {worker.name}\n{worker.log.read_text()}")


@pytest.fixture
def submit(live_database: None) -> Callable[..., Run]:
    """submit(steps=30) -> a queued pretraining run of the smallest model on real text."""
    from tests.workers.scene import spec
    from webapp.accounts.models import Project
    from webapp.runs import actions

    project, _ = Project.objects.get_or_create(slug="bridge", defaults={"name": "Bridge"})

    def submit(**changes: Any) -> Run:
        return actions.submit(project=project, user=None, spec=spec(**changes))

    return submit
