"""What keeps a worker from starting is one sentence and exit status 1."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.workers.scene import ROOT
from webapp.system.errors import SetupError
from workers.main import parse


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workers"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_dead_database_is_named_without_its_password(tmp_path):
    done = start(DATABASE_URL=f"postgresql://hone:s3cret@/hone?host={tmp_path}", HONE_HOME=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("hone: PostgreSQL does not answer (DATABASE_URL): ")
    assert done.stderr.count("\n") == 1
    assert "s3cret" not in done.stderr


def test_a_dead_redis_is_named(tmp_path):
    done = start(REDIS_URL=f"unix://{tmp_path}/redis.sock")
    assert done.returncode == 1
    assert done.stderr.startswith("hone: Redis does not answer (REDIS_URL): ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--slots", "0"], ["--queues", "Not,OK"], ["--queues", ","]])
def test_a_setting_that_makes_no_sense_is_refused(arguments):
    with pytest.raises(SetupError):
        parse(arguments)


def test_options_come_from_the_environment_unless_they_are_given(monkeypatch):
    monkeypatch.setenv("HONE_QUEUES", "gpu, big gpu")
    monkeypatch.setenv("HONE_SLOTS", "3")
    monkeypatch.setenv("HONE_WORKER_NAME", "left")
    assert parse([]).queues == ["gpu", "big"]
    assert (parse([]).slots, parse([]).name) == (3, "left")
    assert (parse(["--slots", "2", "--name", "right"]).slots, parse(["--name", "right"]).name) == (2, "right")
