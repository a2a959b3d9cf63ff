"""Training processes, forked from `multiprocessing`'s forkserver, which has imported torch once for all of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from webapp import env
from workers import child

SECRETS = ("HONE_SECRET_KEY", "HONE_STORAGE_URL", "DATABASE_URL", "REDIS_URL")
SECRET_PREFIXES = ("AWS_", "PG", "POSTGRES_", "DJANGO_", "CELERY_")
_context = multiprocessing.get_context("forkserver")
_starting = threading.Lock()


class Child:
    """A running training process. `events` carries JSON lines, `output` what it prints."""

    def __init__(self, process: ForkServerProcess, events: Connection, output: Connection) -> None:
        self.process, self.events, self.output = process, events, output
        self._signalling = threading.Lock()  # no signal to a number that may be another process by now
        self._ended = False

    def ask_to_stop(self) -> None:
        self._signal(os.kill, signal.SIGTERM)

    def kill(self) -> None:
        """With all that it started."""
        self._signal(os.killpg, signal.SIGKILL)
        self._signal(os.kill, signal.SIGKILL)  # it may not lead its group yet

    def kill_leftovers(self) -> None:
        """Processes that it started and that outlived it."""
        self._signal(os.killpg, signal.SIGKILL)

    def close(self) -> int:
        """Waits for its end and gives everything back. Its exit status; negative for the signal that ended it."""
        self.process.join()
        self.kill_leftovers()
        with self._signalling:
            self._ended = True
        code = self.process.exitcode
        for part in (self.process, self.events, self.output):
            part.close()
        return 0 if code is None else code

    def _signal(self, send: Callable[[int, int], None], number: signal.Signals) -> None:
        with self._signalling, suppress(ProcessLookupError):
            if not self._ended and self.process.pid:
                send(self.process.pid, number)


def warm_up() -> None:
    """Starts the forkserver, which imports for some seconds; runs that come meanwhile wait for it."""
    _context.set_forkserver_preload(["workers.preload"])
    with _starting, _without_secrets():
        forkserver.ensure_running()


def start(job: child.Job) -> Child:
    """Forks a training process. Raises OSError when that fails."""
    warm_up()
    events, write_events = _context.Pipe(duplex=False)
    output, write_output = _context.Pipe(duplex=False)
    process = _context.Process(target=child.main, args=(job, write_events, write_output), name="hone-job")
    try:
        process.start()
    finally:
        write_events.close()
        write_output.close()
    return Child(process, events, output)


@contextmanager
def _without_secrets() -> Iterator[None]:
    """The environment that children inherit: no secret of the control plane, and this project importable."""
    before = dict(os.environ)
    try:
        for name in before:
            if name in SECRETS or name.startswith(SECRET_PREFIXES):
                del os.environ[name]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(env.ROOT), before.get("PYTHONPATH")]))
        # torch.cuda.is_available() in the forkserver would else start CUDA there, and no child could use it.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        # libgomp's threads spin for a millisecond at every barrier, which costs 7 % less when every core is free, and
        # thirty times more when other processes want the cores (measured: 15.7 against 16.8 ms a step, 323 when busy).
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
