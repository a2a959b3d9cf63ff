"""Small training processes for the reader's tests: each speaks through the pipes that a real job has."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from multiprocessing.connection import Connection

from gpu_jobs.events import Metrics, Result, encode


def _join(output: Connection) -> None:
    os.setsid()
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)


def talkative(events: Connection, output: Connection) -> None:
    _join(output)
    os.write(1, b"Downloading 10%\rDownloading 50%\rDownloading 100%\nloaded\r\n\n")
    os.write(events.fileno(), encode(Metrics(step=1, values={"train/loss": 2.0})))
    os.write(2, b"a warning of a library\nits last words have no newline")
    os.write(events.fileno(), encode(Result(values={})))


def torn(events: Connection, output: Connection) -> None:
    _join(output)
    os.write(events.fileno(), encode(Metrics(step=1, values={"train/loss": 2.0})) + b'{"type":"metr')
    os.write(2, b"Traceback (most recent call last):\nZeroDivisionError: division by zero\n")
    os._exit(1)


def leaves_a_child(events: Connection, output: Connection) -> None:
    """The child holds the pipe of standard output open."""
    _join(output)
    left = subprocess.Popen(["sleep", "600"])
    os.write(1, f"{left.pid}\n".encode())
    os.write(events.fileno(), encode(Result(values={})))


def deaf(events: Connection, output: Connection) -> None:
    _join(output)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(events.fileno(), encode(Metrics(step=1, values={"train/loss": 2.0})))
    time.sleep(600)
