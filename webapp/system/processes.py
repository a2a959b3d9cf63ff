"""Child processes that live and die with `manage.py up`."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

PR_SET_PDEATHSIG = 1
RESTART_WAIT_S = (0.0, 1.0, 2.0, 5.0, 10.0)


def die_with_parent(signal_number: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn`: the kernel sends the signal when the parent ends, even by SIGKILL. Linux only; else a no-op.

    The parent is the thread that forked, not its process: start what must live as long as the process from its main
    thread.
    """
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, signal_number)

    return ask_kernel


@dataclass
class Service:
    """A command kept running: restarted when it ends by itself, later and later when it keeps ending."""

    name: str
    command: list[str]
    stop_patience_s: float
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    started: float = 0.0
    not_before: float = 0.0

    def start(self) -> None:
        """Its own session, so that Ctrl-C in the terminal reaches `up` alone, which then stops it in order."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def keep_alive(self) -> str | None:
        """Restarts it when it has ended. Returns a sentence to print when it ended just now."""
        now = time.monotonic()
        if self.process is not None and (code := self.process.poll()) is not None:
            self.failures = 0 if now - self.started > 60 else self.failures + 1
            wait_s = RESTART_WAIT_S[min(self.failures, len(RESTART_WAIT_S) - 1)]
            self.process, self.not_before = None, now + wait_s
            return f"{self.name} ended ({_how(code)}); starting it again in {wait_s:.0f} s."
        if self.process is None and now >= self.not_before:
            self.start()
        return None

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Gives it its patience, then SIGKILL to its whole session."""
        if self.process is None:
            return
        try:
            self.process.wait(self.stop_patience_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
