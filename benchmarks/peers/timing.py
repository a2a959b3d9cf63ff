"""What the scripts of every tracker need; only the standard library, as it runs in their Pythons."""

from __future__ import annotations

import socket
import statistics
import time
import urllib.request
from collections.abc import Callable
from typing import Any

SPIKE = 1e6
READ = 100_000


def value(step: int, count: int) -> float:
    """One point, near the middle, is an outlier."""
    return SPIKE if step == count // 2 + 123 else 0.1 * (step % 7)


def timed(work: Callable[[], Any], repeats: int) -> float:
    """The median of some runs after one to warm up, in seconds."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def spread(took: list[float]) -> list[float]:
    """Median and 99th percentile."""
    return [statistics.median(took), statistics.quantiles(took, n=100)[98]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def await_answer(address: str) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=5).read()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"{address} does not answer.")
