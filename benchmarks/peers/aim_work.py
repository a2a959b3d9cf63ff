"""Aim: `python aim_work.py FOLDER REPEATS POINTS`. It writes into its own store in this process, not over a network.

The long series has a tenth of POINTS: it takes them one by one. Its interface is asked for the chart. It has no page of
runs sorted by a metric on its server.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aim
from timing import READ, SPIKE, await_answer, free_port, spread, timed, value


def main(folder: str, repeats: int, points: int) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    repo = aim.Repo.from_path(folder, init=True)
    run = begun(repo)
    took, rate = log(run, "short", 20_000)
    log(run, "read", READ)
    figures = {"ingest": rate, "call": spread(took), "read": read(run, repeats), "table": None}
    log(run, "long", points // 10)
    run.close()
    with serving(folder) as address:
        figures["chart"] = chart(address, repeats)
    print(json.dumps({"version": importlib.metadata.version("aim"), **figures}))


def begun(repo: Any) -> Any:
    return aim.Run(repo=repo, system_tracking_interval=None, capture_terminal_logs=False)


def log(run: Any, name: str, count: int) -> tuple[list[float], float]:
    """The seconds of each call, and points/s."""
    took, start = [], time.perf_counter()
    for step in range(count):
        began = time.perf_counter()
        run.track(value(step, count), name=name, step=step)
        took.append(time.perf_counter() - began)
    return took, count / (time.perf_counter() - start)


@contextmanager
def serving(folder: str) -> Iterator[str]:
    port, aim_up = free_port(), str(Path(sys.executable).with_name("aim"))
    command = [aim_up, "up", "--repo", folder, "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, start_new_session=True, **quiet) as process:
        try:
            await_answer(f"http://127.0.0.1:{port}/api/projects/")
            time.sleep(20)  # it indexes what was written
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # and the processes it has started


def chart(address: str, repeats: int) -> dict[str, Any]:
    """What its page asks for: a series as `p` points, as it packs them."""
    query = urllib.parse.urlencode({"q": "metric.name == 'long'", "p": 1500})
    found = []

    def ask() -> None:
        found[:] = [urllib.request.urlopen(f"{address}/api/runs/search/metric/?{query}").read()]

    seconds = timed(ask, repeats)
    return {"seconds": seconds, "points": 1500, "spike": struct.pack("<d", SPIKE) in found[0]}


def read(run: Any, repeats: int) -> dict[str, Any]:
    """By the run that wrote it: a store opened anew finds nothing until a server has indexed it, if then."""
    counts = list[int]()

    def ask() -> None:
        counts[:] = [len(metric.values.sparse_numpy()[1]) for metric in run.metrics() if metric.name == "read"]

    return {"seconds": timed(ask, repeats), "points": sum(counts)}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
