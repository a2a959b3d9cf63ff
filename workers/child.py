"""The body of a training process: runs one job and writes its events to a pipe. Knows no database, broker or web."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from gpu_jobs import outcomes, spec
from gpu_jobs.context import Context
from gpu_jobs.events import encode
from workers.kernel import die_with_parent


@dataclass(frozen=True)
class Job:
    """All that a training process is told. `environment` names its devices and is set before CUDA is touched."""

    spec: dict[str, Any]
    work_dir: Path
    cache_dir: Path
    inputs: dict[str, Path]
    resume_from: Path | None
    environment: dict[str, str]


def main(job: Job, events: Connection, output: Connection) -> None:
    """Runs in the child. What the job or its libraries print goes to `output`."""
    _leave_no_orphan()
    should_stop = _listen_for_sigterm()
    os.environ.update(job.environment)
    _print_to(output)
    os.chdir(job.work_dir)
    context = Context(job.work_dir, job.cache_dir, job.inputs, job.resume_from, should_stop)
    for event in outcomes.run(spec.parse(job.spec), context):
        _write(events.fileno(), encode(event))


def _leave_no_orphan() -> None:
    """Its own session, which is killed as a whole; gone with the forkserver, and if the worker is gone already."""
    os.setsid()
    die_with_parent()
    worker = multiprocessing.parent_process()
    if worker is not None and not worker.is_alive():
        os._exit(1)


def _listen_for_sigterm() -> Callable[[], bool]:
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return asked.is_set


def _print_to(output: Connection) -> None:
    """Standard output and error of this process and all that it starts; standard input is empty."""
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _write(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]
