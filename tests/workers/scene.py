"""Real workers: `python -m workers` processes on the test's own database, with quick heartbeats."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from django.db import connection

from webapp import env
from webapp.metrics import queries
from webapp.runs.models import Run

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"HONE_HEARTBEAT_S": "1", "HONE_SILENT_S": "5", "HONE_STOP_GRACE_S": "30", "OMP_NUM_THREADS": "1"}


class WorkerProcess:
    """One worker. Everything that it starts is gone when the test ends."""

    def __init__(self, name: str, log: Path, **environment: str) -> None:
        self.name, self.log = name, log
        self.process = subprocess.Popen(
            [sys.executable, "-m", "workers", "--name", name],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": database_url(), **QUICK, **environment},
            stdout=log.open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def stop(self, patience_s: float = 40) -> int:
        """SIGTERM, as `manage.py up` does. The exit status."""
        self.process.terminate()
        return self.process.wait(patience_s)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def database_url() -> str:
    """The test's database, which is not the one that the settings of another process would name."""
    return f"postgresql://hone@/{connection.settings_dict['NAME']}?host={quote(str(env.run_dir()), safe='')}"


def spec(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "pretrain",
        "model": {"source": "builtin", "name": "nano"},
        "data": {"source": "builtin", "name": "language-reference"},
        "optimizer": {"name": "adamw", "lr": 1e-3},
        "steps": 20,
        "batch_size": 4,
        "sequence_length": 32,
        "eval_every": 10,
        "eval_batches": 1,
        "checkpoint_every": 10,
        **changes,
    }


def wait_for(what: Callable[[], Any], timeout_s: float = 60) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + timeout_s
    while not (answer := what()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return answer


def wait_for_status(run: Run, *statuses: str, timeout_s: float = 60) -> Run:
    def is_there() -> bool:
        run.refresh_from_db()
        return run.status in statuses

    try:
        wait_for(is_there, timeout_s)
    except AssertionError:
        raise AssertionError(f"run is {run.status} at step {run.step}: {run.error_message}") from None
    return run


def wait_for_step(run: Run, step: int, timeout_s: float = 60) -> Run:
    """Until the run has got that far."""

    def is_there() -> bool:
        run.refresh_from_db()
        assert run.status in ("queued", "starting", "running"), f"run is {run.status}: {run.error_message}"
        return run.status == "running" and run.step >= step

    wait_for(is_there, timeout_s)
    return run


def series(run: Run) -> dict[str, list[tuple[int, float]]]:
    """Every point that depends on the training alone, by metric: (step, value)."""
    names = [
        name for name in queries.names(run.pk) if name.startswith(("train/", "eval/")) and "per_second" not in name
    ]
    points = {name: queries.raw(run.pk, name) for name in names}
    return {name: list(zip(p.steps.tolist(), p.values.tolist(), strict=True)) for name, p in points.items()}


def processes_of(worker: WorkerProcess) -> list[int]:
    """The worker's forkserver and training processes, found by who their parents are."""
    return [child.pid for child in psutil.Process(worker.process.pid).children(recursive=True)]


def training_process(worker: WorkerProcess) -> int:
    """The process that trains: the only child of the forkserver."""

    def find() -> list[int]:
        children = psutil.Process(worker.process.pid).children()
        return [grandchild.pid for child in children for grandchild in child.children()]

    return wait_for(find)[0]
