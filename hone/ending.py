"""What a program's end means for its runs: at exit, after an exception, on SIGTERM, and in a forked child.

SIGTERM: where nobody else handles it, the runs are cancelled and sent, and the program dies of the signal as it would
have. Where the program had a handler before the first `hone.init`, what is logged so far is sent and the handler is
called; a handler that is set later replaces this one, and then the runs are ended at exit.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from hone.run import Run

SIGTERM_TIMEOUT_S = 8.0  # who sends it often kills after 10 s
_living: list[Run] = []
_story: Story = {}
_previous_hook: Callable[..., Any] | None = None
_previous_handler: Callable[[int, FrameType | None], Any] | int | None = signal.SIG_DFL


class Story(TypedDict, total=False):
    """How a run ended, as `Run.finish` takes it."""

    status: str
    error_message: str


def watch(run: Run) -> None:
    """From now on the run ends with the program."""
    if _previous_hook is None:
        _install()
    _living.append(run)


def forget(run: Run) -> None:
    if run in _living:
        _living.remove(run)


def story(error: BaseException) -> Story:
    status = "cancelled" if isinstance(error, KeyboardInterrupt) else "failed"
    told = str(error)
    return {"status": status, "error_message": f"{type(error).__name__}: {told}" if told else type(error).__name__}


def _install() -> None:
    global _previous_hook, _previous_handler
    _previous_hook, sys.excepthook = sys.excepthook, _on_exception
    atexit.register(_at_exit)
    os.register_at_fork(after_in_child=_in_child)
    if threading.current_thread() is threading.main_thread():
        _previous_handler = signal.signal(signal.SIGTERM, _on_sigterm)


def _on_exception(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    _story.update(story(error))
    if _previous_hook is not None:
        _previous_hook(kind, error, at)


def _at_exit() -> None:
    for run in _living.copy():  # each leaves the list as it ends
        run.finish(**_story)


def _in_child() -> None:
    for run in _living:
        run.leave()
    _living.clear()


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    handles = callable(_previous_handler) or _previous_handler == signal.SIG_IGN
    for run in _living.copy():
        if handles:
            run.flush(SIGTERM_TIMEOUT_S)
        else:
            run.finish("cancelled", error_message="It was stopped by SIGTERM.", timeout_s=SIGTERM_TIMEOUT_S)
    if callable(_previous_handler):
        _previous_handler(number, frame)
    elif not handles:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
