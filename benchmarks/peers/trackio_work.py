"""trackio: `python trackio_work.py FOLDER REPEATS POINTS`. It writes into SQLite from this process.

Its server (in this process too) is asked for the chart. It has no page of runs sorted by a metric on its server.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import urllib.request
from typing import Any

from timing import READ, SPIKE, spread, timed, value


def main(folder: str, repeats: int, points: int) -> None:
    os.environ |= {"TRACKIO_DIR": folder}
    out = os.dup(1)
    os.dup2(2, 1)  # it prints: the answer alone goes to standard output
    import trackio

    rates = [log(trackio, f"short-{number}", 20_000) for number in range(repeats)]
    log(trackio, "read", READ)
    log(trackio, "long", points)
    address = trackio.show(project="benchmark", open_browser=False, block_thread=False)[1].rstrip("/")
    figures = {"ingest": statistics.median(rate for _, rate in rates), "call": spread(rates[-1][0]),
               "chart": chart(address, repeats), "read": read(repeats), "table": None}  # fmt: skip
    os.write(out, json.dumps({"version": trackio.__version__, **figures}).encode())
    os._exit(0)  # its threads stay otherwise


def log(trackio: Any, run: str, count: int) -> tuple[list[float], float]:
    """The seconds of each call, and points/s until all is written."""
    trackio.init(project="benchmark", name=run, auto_log_gpu=False, auto_log_cpu=False)
    took, start = [], time.perf_counter()
    for step in range(count):
        began = time.perf_counter()
        trackio.log({"loss": value(step, count)}, step=step)
        took.append(time.perf_counter() - began)
    trackio.finish()
    return took, count / (time.perf_counter() - start)


def chart(address: str, repeats: int) -> dict[str, Any]:
    """What its page asks for: at most 3,000 rows of the run."""
    body = json.dumps({"project": "benchmark", "run": "long"}).encode()
    found: list[dict[str, Any]] = []

    def ask() -> None:
        request = urllib.request.Request(f"{address}/api/get_logs", body, {"Content-Type": "application/json"})
        found[:] = json.loads(urllib.request.urlopen(request).read())["data"]

    seconds = timed(ask, repeats)
    return {"seconds": seconds, "points": len(found), "spike": any(row.get("loss") == SPIKE for row in found)}


def read(repeats: int) -> dict[str, Any]:
    from trackio.sqlite_storage import SQLiteStorage

    seconds = timed(lambda: SQLiteStorage.get_logs("benchmark", "read"), repeats)
    return {"seconds": seconds, "points": len(SQLiteStorage.get_logs("benchmark", "read"))}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
