"""Redis is wiped, then Postgres is stopped under a running job: servers of this module's own, really restarted."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import redis

from tests.workers.scene import QUICK, ROOT, spec, wait_for
from webapp.metrics.points import Points
from webapp.system.embedded import Servers, stop

SUBMIT = """
import json, sys, django
django.setup()
from webapp.accounts.models import Project
from webapp.runs import actions
project, _ = Project.objects.get_or_create(slug="away", defaults={"name": "Away"})
for spec in json.loads(sys.argv[1]):
    print(actions.submit(project=project, user=None, spec=spec).pk)
"""


class Installation:
    """A home with servers that can be stopped one by one, its tables, and one worker."""

    def __init__(self, home: Path) -> None:
        self.servers = Servers(home)
        self.environment = {**os.environ, **QUICK, "HONE_HOME": str(home), "DJANGO_SETTINGS_MODULE": "webapp.settings"}
        self.postgres, self.redis = self.servers.start_postgres(), self.servers.start_redis()
        self.python("manage.py", "migrate", "--verbosity", "0")
        self.log = home / "worker.log"
        command, log = [sys.executable, "-m", "workers"], self.log.open("ab")
        self.worker = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT)
        wait_for(lambda: self.ask("SELECT 1 FROM workers"))

    def python(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def submit(self, *specs: dict[str, Any]) -> list[int]:
        import json

        return [int(line) for line in self.python("-c", SUBMIT, json.dumps(specs)).split()]

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(host=str(self.servers.run_dir), user="hone", dbname="hone") as connection:
            return connection.execute(sql, values).fetchall()

    def status(self, run_id: int) -> str:
        return self.ask("SELECT status FROM runs WHERE id = %s", run_id)[0][0]

    def step(self, run_id: int) -> int:
        return self.ask("SELECT step FROM runs WHERE id = %s", run_id)[0][0]

    def losses(self, run_id: int) -> list[tuple[int, float]]:
        """Every point of train/loss in the order of its chunks, none dropped as doubled."""
        sql = """SELECT steps, values, times FROM metric_chunks JOIN series ON series.id = series_id
                 WHERE run_id = %s AND name = 'train/loss' ORDER BY first_step, metric_chunks.id"""
        chunks = [Points.unpack(*row) for row in self.ask(sql, run_id)]
        steps = np.concatenate([chunk.steps for chunk in chunks])
        return list(zip(steps.tolist(), np.concatenate([chunk.values for chunk in chunks]).tolist(), strict=True))

    def close(self) -> None:
        self.worker.kill()
        self.worker.wait()
        stop(self.redis)
        stop(self.postgres)


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="hone-away-", ignore_cleanup_errors=True) as home:
        made = Installation(Path(home))
        yield made
        made.close()
        print(made.log.read_text())


def test_a_wiped_redis_loses_no_run_and_delays_it_by_a_tick(installation):
    (before,) = installation.submit(spec(steps=2))
    wait_for(lambda: installation.status(before) == "succeeded")

    stop(installation.redis)
    first, second = installation.submit(spec(steps=5), spec(steps=5))  # no ticket can be sent
    installation.redis = installation.servers.start_redis()
    wait_for(lambda: installation.status(first) == installation.status(second) == "succeeded", 30)

    client = redis.Redis(unix_socket_path=str(installation.servers.redis_socket))
    (third,) = installation.submit(spec(steps=5))
    client.flushall()
    wait_for(lambda: installation.status(third) == "succeeded", 30)


def test_training_goes_on_without_postgres_and_every_point_arrives_once(installation):
    job = spec(steps=300, eval_every=0, checkpoint_every=0, seed=5)
    (undisturbed,) = installation.submit(job)
    wait_for(lambda: installation.status(undisturbed) == "succeeded")
    (run,) = installation.submit(job)
    wait_for(lambda: installation.step(run) >= 5)

    stop(installation.postgres)
    journal = next(Path(installation.environment["HONE_HOME"]).glob("journal/*.jsonl"))
    wait_for(lambda: b'"type":"result"' in journal.read_bytes())  # it trains to its end meanwhile
    time.sleep(1.5 * int(QUICK["HONE_SILENT_S"]))  # longer than the silence that makes an attempt lost
    installation.postgres = installation.servers.start_postgres()

    wait_for(lambda: installation.status(run) == "succeeded", 30)
    assert installation.ask("SELECT count(*) FROM attempts WHERE run_id = %s", run) == [(1,)]
    assert installation.losses(run) == installation.losses(undisturbed)
    assert [step for step, _ in installation.losses(run)] == list(range(1, 301))
    assert installation.ask("SELECT count(*) FROM artifacts WHERE run_id = %s", run) == installation.ask(
        "SELECT count(*) FROM artifacts WHERE run_id = %s", undisturbed
    )
    wait_for(lambda: not list(journal.parent.iterdir()))
