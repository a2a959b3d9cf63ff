"""What a chart costs of ever longer series: as JSON over HTTP, over every kind of x, and from far to near.

`python benchmarks/long_series.py` starts its own PostgreSQL and web server in a temporary home (4 GB of disk with 100 M
points) and prints, for each view, medians of warm repeats and their ratios to the first series. The series take turns,
so that whatever else the machine does slows all of them. All views hold one outlier, which must be seen.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import ingest
from benchmarks.metrics_vs_peers import WIDTH, filled
from benchmarks.peers.timing import SPIKE

TOKEN_COUNTS = 10_000  # points of train/tokens of each run
Views = Iterator[tuple[str, Mapping[int, Callable[[], Any]]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--points", type=int, nargs="+", default=[1_000_000, 10_000_000, 100_000_000])
    options = parser.parse_args()
    with ingest.installation() as (address, token, _):
        os.environ |= {"HONE_URL": address, "HONE_TOKEN": token}
        runs = {points: with_tokens(filled(points), points) for points in options.points}
        for title, views in [*over_http(runs), *by_axis(runs), *zoomed(runs)]:
            print(line(title, medians(views, options.repeats)), flush=True)


def with_tokens(run: int, points: int) -> int:
    from django.db import transaction

    from webapp.metrics import store

    steps = np.arange(0, points, points // TOKEN_COUNTS)
    with transaction.atomic():
        store.append(run, {"train/tokens": store.Points.of(steps, steps * 8.0, steps)})
    return run


def over_http(runs: Mapping[int, int]) -> Views:
    client = ingest.api()

    def ask(run: int) -> list[float]:
        asked: dict[str, str | int] = {"name": "loss", "points": 2 * WIDTH}
        return list(client.get(f"/runs/{run}/series", params=asked).json()["y"])

    yield "HTTP to JSON", {points: partial(ask, run) for points, run in runs.items()}


def by_axis(runs: Mapping[int, int]) -> Views:
    for x in ("step", "time", "relative", "tokens"):
        yield f"window over {x}", {points: partial(window, run, x=x) for points, run in runs.items()}


def zoomed(runs: Mapping[int, int]) -> Views:
    """The outlier is a third from the left edge."""
    for share in (0.8, 0.2, 0.01, 0.001):
        views = {}
        for points, run in runs.items():
            start = points // 2 + 123 - share * points / 3
            views[points] = partial(window, run, start=start, stop=start + share * points)
        yield f"window of {share:.1%} of the steps", views


def window(run: int, **view: Any) -> list[float]:
    from webapp.metrics import queries

    return list(queries.window(run, "loss", points=2 * WIDTH, **view).y)


def medians(views: Mapping[int, Callable[[], Any]], repeats: int) -> dict[int, float]:
    took: dict[int, list[float]] = {points: [] for points in views}
    for warm in range(-2, repeats):
        for points, work in views.items():
            began = time.perf_counter()
            shown = work()
            if warm >= 0:
                took[points].append(time.perf_counter() - began)
            assert SPIKE in shown, f"The outlier of {points:,} points is lost."
    return {points: statistics.median(seconds) for points, seconds in took.items()}


def line(title: str, seconds: Mapping[int, float]) -> str:
    first = next(iter(seconds.values()))
    found = [f"{points // 1_000_000} M: {1e3 * one:6.1f} ms ({one / first:.2f}x)" for points, one in seconds.items()]
    return f"{title:<30}" + "   ".join(found)


if __name__ == "__main__":
    main()
