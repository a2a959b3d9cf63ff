"""The figures of a tracker, Hone's beside those of MLflow, Aim and trackio, measured one after the other in one run.

`python benchmarks/metrics_vs_peers.py --mlflow PYTHON --aim PYTHON --trackio PYTHON` names the Pythons in which they
are installed (`pip install mlflow aim trackio psycopg2-binary`; one may serve all); those left out are left out. Hone's
and MLflow's servers run on one PostgreSQL, Aim and trackio on stores of their own: see `benchmarks/peers/`. Medians of
warm repeats. Loads: a table of 2,000 runs with 20 metrics; a series of `--points`, and with `--long` ten and a hundred
times as long, each with one outlier.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import ingest, metric_store, runs_table
from benchmarks.peers.timing import READ, SPIKE, spread, timed

PEERS = ("mlflow", "aim", "trackio")
WIDTH = 1500  # pixels; a chart asks for two points a pixel
Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--points", type=int, default=1_000_000, help="of the series that is drawn")
    parser.add_argument("--long", action="store_true", help="also ten and a hundred times as many (4 GB of disk)")
    for peer in PEERS:
        parser.add_argument(f"--{peer}", metavar="PYTHON", help=f"a Python with {peer} in it")
    options = parser.parse_args()
    with ingest.installation() as (address, token, run_dir):
        os.environ |= {"HONE_URL": address, "HONE_TOKEN": token}
        print_table({"hone": hone(options), **dict(peers(options, run_dir))})
        for line in [*series_lines(options)]:
            print(line, flush=True)


def hone(options: argparse.Namespace) -> Figures:
    bodies = {kind: ingest.made(100_000, 1, make) for kind, make in (("", ingest.as_json), (" arrow", ingest.as_arrow))}
    rates = {f"ingest{kind}": ingest.points_a_second(100_000, body, options.repeats) for kind, body in bodies.items()}
    rates["worker"] = metric_store.points_a_second(1_000_000, options.repeats, names=1, batch=100_000)
    run = filled(options.points)
    return {"version": "", **rates, "call": spread(calls(0.0)), "call 1 ms": spread(calls(0.001)),
            "chart": chart(run, options.repeats), "read": read(filled(READ), READ, options.repeats),
            "read long": read(run, options.points, options.repeats), "table": table(options.repeats)}  # fmt: skip


def calls(work_s: float) -> list[float]:
    """Seconds of each `run.log` of one metric, with so much work in between."""
    import hone

    run = hone.init("benchmark")
    took = [ingest.call(run, {"loss": 0.5}, work_s) for _ in range(5000 if work_s else 100_000)]
    run.finish()
    return took


def filled(points: int) -> int:
    """A run whose series `loss` has so many points, with one outlier. Returns its number."""
    from django.db import transaction

    from webapp.metrics import store

    run, spike = metric_store.new_run(), points // 2 + 123
    for first in range(0, points, 1_000_000):
        some = metric_store.points(first, min(1_000_000, points - first), seed=first)
        some.values[some.steps == spike] = SPIKE
        with transaction.atomic():
            store.append(run.pk, {"loss": some})
    return int(run.pk)


def chart(run: int, repeats: int) -> Figures:
    with ingest.api() as client:
        found: Figures = {}

        def ask() -> None:
            found.update(client.get(f"/runs/{run}/series", params={"name": "loss", "points": 2 * WIDTH}).json())

        seconds = timed(ask, repeats)
    return {"seconds": seconds, "points": len(found["y"]), "spike": SPIKE in found["y"]}


def read(run: int, points: int, repeats: int) -> Figures:
    import hone

    seconds = timed(lambda: hone.history(run, "loss"), repeats)
    assert len(hone.history(run, "loss").values) == points
    return {"seconds": seconds, "points": points}


def table(repeats: int) -> float:
    """A page of 100 of 2,000 runs with 20 metrics each, filtered and sorted by one of them."""
    from webapp.accounts import actions
    from webapp.accounts.models import User

    runs_table.fill(2000)
    token = actions.create_token(User.objects.get(username="bench"), "table")[1]
    headers = {"Authorization": f"Bearer {token}"}
    query: dict[str, str | int] = {
        "project": "bench",
        "q": "metrics.eval/loss < 1.5",
        "sort": "metric.eval/loss",
        "limit": 100,
    }
    with ingest.api() as client:
        return timed(lambda: client.get("/runs", params=query, headers=headers).raise_for_status().json(), repeats)


def peers(options: argparse.Namespace, run_dir: Path) -> Iterator[tuple[str, Figures]]:
    for peer in PEERS:
        if python := getattr(options, peer):
            with tempfile.TemporaryDirectory(prefix=f"hone-bench-{peer}-") as folder:
                asked = [*place(peer, run_dir), folder, str(options.repeats), str(options.points)]
                script = Path(__file__).with_name("peers") / f"{peer}_work.py"
                quiet = os.environ | {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
                done = subprocess.run(
                    [python, str(script), *asked], capture_output=True, text=True, cwd=folder, env=quiet
                )
            if done.returncode:
                print(f"{peer} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
                continue
            yield peer, json.loads(done.stdout.splitlines()[-1])


def place(peer: str, run_dir: Path) -> list[str]:
    """A database of its own for MLflow, on Hone's PostgreSQL."""
    if peer != "mlflow":
        return []
    import psycopg

    with psycopg.connect(host=str(run_dir), user="hone", dbname="hone", autocommit=True) as connection:
        connection.execute("CREATE DATABASE mlflow")
    return [f"postgresql+psycopg2://hone@/mlflow?host={run_dir}"]


def print_table(found: dict[str, Figures]) -> None:
    titles = [f"{name} {figures['version']}".strip() for name, figures in found.items()]
    print(f"| | {' | '.join(titles)} |\n|---|{'---|' * len(titles)}")
    for title, show in ROWS.items():
        print(f"| {title} | {' | '.join(shown(show, figures) for figures in found.values())} |")


def shown(show: Any, figures: Figures) -> str:
    try:
        return str(show(figures))
    except (KeyError, TypeError):
        return ""


ROWS: dict[str, Any] = {
    "points/s, JSON or its own": lambda one: f"{one['ingest']:,.0f}",
    "points/s, Arrow": lambda one: f"{one['ingest arrow']:,.0f}",
    "points/s on the worker path": lambda one: f"{one['worker']:,.0f}",
    "a single call, median (p99), us": lambda one: microseconds(one["call"]),
    "with 1 ms of work in between": lambda one: microseconds(one["call 1 ms"]),
    "asynchronous": lambda one: microseconds(one["call_asynchronous"]),
    "chart of the long series, ms": lambda one: f"{1e3 * one['chart']['seconds']:,.0f}",
    "points of the chart; the outlier is": lambda one: (
        f"{one['chart']['points']:,}; {'there' if one['chart']['spike'] else 'LOST'}"
    ),
    f"read of {READ:,} points, s": lambda one: f"{one['read']['seconds']:.3f}" if one["read"]["points"] else None,
    "read of the long series as numpy, s": lambda one: f"{one['read long']['seconds']:.3f}",
    "page of 100 of 2,000 runs by a metric, ms": lambda one: f"{1e3 * one['table']:,.0f}",
}


def microseconds(call: list[float]) -> str:
    return f"{1e6 * call[0]:,.1f} ({1e6 * call[1]:,.1f})"


def series_lines(options: argparse.Namespace) -> Iterator[str]:
    """Charts of longer series, the outlier at every zoom, and what a point takes on disk."""
    yield f"stored: {bytes_a_point():.1f} bytes a point, everything included"
    for times in (1, 10, 100) if options.long else (1,):
        run, points = filled(times * options.points), times * options.points
        found = chart(run, options.repeats)
        lost = [width for width in zooms(points) if not is_seen(run, points, width)]
        yield (
            f"{points:,} points: chart {1e3 * found['seconds']:.0f} ms; outlier at {len(zooms(points))} zooms, "
            f"lost at {lost or 'none'}"
        )


def zooms(points: int) -> list[int]:
    """Widths in steps, from the whole series down to a dozen points."""
    return [int(width) for width in np.geomspace(points, 12, 24)]


def is_seen(run: int, points: int, width: int) -> bool:
    """In a window of so many steps that holds the outlier a third from its left edge."""
    spike = points // 2 + 123
    asked: dict[str, str | int] = {
        "name": "loss",
        "points": 2 * WIDTH,
        "from": max(0, spike - width // 3),
        "to": spike + 2 * width // 3,
    }
    with ingest.api() as client:
        return SPIKE in client.get(f"/runs/{run}/series", params=asked).json()["y"]


def bytes_a_point() -> float:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size('metric_chunks') + pg_total_relation_size('points_keys')")
        size = cursor.fetchone()[0]
        cursor.execute("SELECT sum(count) FROM metric_chunks")
        return float(size / cursor.fetchone()[0])


if __name__ == "__main__":
    main()
