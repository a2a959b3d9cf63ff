"""What to say of a training process that ended without a last word."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from gpu_jobs.events import Event, Failed, Stopped
from workers.entries import Lost

# Sent by people, by the system or by the end of the forkserver; anything else is the process' own fault.
FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})
FORKSERVER_GONE = 255  # multiprocessing's word for "nobody is left to tell how it ended"
LINES = 20


def verdict(code: int, *, asked_to_stop: bool, out_of_memory: bool, step: int, printed: Sequence[str]) -> Event:
    """The final entry for an exit status (negative: a signal). `step` is that of the last stored checkpoint."""
    if asked_to_stop and code < 0:
        return Stopped(step=step)
    if code == -signal.SIGKILL and out_of_memory:
        return _failed("out_of_memory", "OutOfMemory", _NO_MEMORY, printed)
    if -code in FROM_OUTSIDE or code == FORKSERVER_GONE:
        return Lost(message=f"The training process was ended from outside ({_name(code)}).")
    if code < 0:
        message = f"The training process crashed ({_name(code)}); the end of its log may say where."
        return _failed("failed", "Crash", message, printed)
    if code == 0:
        return _failed("failed", "NoResult", "The training process ended without a result.", printed)
    return _failed("failed", *_last_error(code, printed), printed)


_NO_MEMORY = (
    "The system ran out of memory and killed the training process. Lower batch_size or sequence_length, "
    "or run it where there is more memory."
)


def _failed(outcome: str, error: str, message: str, printed: Sequence[str]) -> Failed:
    text = "\n".join(printed[-LINES:])
    return Failed(outcome=outcome, error=error, message=message, traceback=text)  # type: ignore[arg-type]


def _last_error(code: int, printed: Sequence[str]) -> tuple[str, str]:
    """The class and the sentence of the exception whose traceback was printed last."""
    for line in reversed(printed):
        name, colon, message = line.partition(": ")
        if colon and name.replace(".", "").isidentifier():
            return name.rpartition(".")[2], message
    return "ExitStatus", f"The training process ended with exit status {code}."


def _name(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit status {code}"
