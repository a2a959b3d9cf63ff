"""A run on several GPUs: torch's launcher starts one process for each; this one passes their events on.

On a machine without GPUs the processes share the CPU through gloo, which is how the tests run it.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import torch

from gpu_jobs.context import Context
from gpu_jobs.errors import MethodError
from gpu_jobs.events import Event, Failed, Result, Stopped, decode
from gpu_jobs.spec import Training

POLL_S = 0.2
LAST_WORDS = 4000  # characters of a crashed process's output that are kept


def launch(spec: Training, context: Context) -> Iterator[Event]:
    """Runs the spec on its GPUs and yields what rank 0 says, up to the first Result, Stopped or Failed.

    Raises MethodError when there are fewer GPUs, and RuntimeError with the last words of a rank that crashed.
    """
    if torch.cuda.is_available() and torch.cuda.device_count() < spec.gpus:
        raise MethodError(f"gpus must not exceed those of this worker: {spec.gpus} > {torch.cuda.device_count()}.")
    folder = _write_job(spec, context)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            _command(spec, folder), stdout=subprocess.PIPE, stderr=log, env=_environment(spec), start_new_session=True
        )
        try:
            over = yield from _relay(process, context, folder)
        finally:
            process.kill()  # its ranks die with it; after an orderly end there is nothing left to kill
            process.wait()
    if not over:
        raise RuntimeError(f"a process of the run has crashed: {_last_words(folder)}")
    shutil.rmtree(folder)


def _write_job(spec: Training, context: Context) -> Path:
    folder = context.work_dir / ".ranks"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = {
        "spec": spec.model_dump(mode="json"),
        "work_dir": str(context.work_dir.resolve()),
        "cache_dir": str(context.cache_dir.resolve()),
        "inputs": {name: str(Path(path).resolve()) for name, path in context.inputs.items()},
        "resume_from": str(context.resume_from.resolve()) if context.resume_from else None,
    }
    (folder / "job.json").write_text(json.dumps(job))
    return folder


def _command(spec: Training, folder: Path) -> list[str]:
    launcher = [sys.executable, "-m", "gpu_jobs.engine.launcher", "--standalone", "--max-restarts=0"]
    return [*launcher, f"--nproc-per-node={spec.gpus}", "-m", "gpu_jobs.engine.rank", str(folder)]


def _environment(spec: Training) -> dict[str, str]:
    """Each process gets its part of the cores; the package is found wherever this process has found it."""
    cores = max(1, len(os.sched_getaffinity(0)) // spec.gpus)
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {"OMP_NUM_THREADS": str(cores), **os.environ, "PYTHONPATH": path}


def _relay(process: subprocess.Popen[bytes], context: Context, folder: Path) -> Generator[Event, None, bool]:
    """Yields events as they come, and passes a wish to stop on. Returns whether the stream came to its end."""
    assert process.stdout is not None
    over, rest = False, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if context.should_stop():
                (folder / "stop").touch()
            if not selector.select(POLL_S):
                continue
            chunk = os.read(process.stdout.fileno(), 1 << 16)
            *lines, rest = (rest + chunk).split(b"\n")
            for event in map(decode, lines):
                if not over:
                    over = isinstance(event, (Result, Stopped, Failed))
                    yield event
            if not chunk:
                return over


def _last_words(folder: Path) -> str:
    """The first rank's traceback: what comes after it are ranks that miss each other, and the launcher."""
    log = (folder / "log").read_text(errors="replace")
    return log[max(0, log.find("Traceback")) :][:LAST_WORDS].strip()
