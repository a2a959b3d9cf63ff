"""Events on standard output, stop requests by signal: how a job talks when it is a process of its own."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from gpu_jobs.events import Event, encode


def claim_stdout() -> Callable[[Event], None]:
    """Takes standard output for events alone and returns what writes one; whatever else is printed goes to stderr."""
    sys.stdout.flush()
    descriptor = os.dup(1)
    os.dup2(2, 1)

    def emit(event: Event) -> None:
        line = encode(event)
        while line:
            line = line[os.write(descriptor, line) :]

    return emit


def stop_on_signal() -> Callable[[], bool]:
    """SIGTERM or Ctrl-C asks for a stop; the answer is what `Context.should_stop` wants. A second one ends at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    return lambda: asked


def die_with_parent() -> None:
    """Linux kills this process when the one that started it is gone, however that came (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
