"""How fast points are written, and how long a chart of a million of them takes.

`python benchmarks/metric_store.py` starts its own PostgreSQL in a temporary home and prints one table: medians of
warm repeats, each write in a transaction of its own, committed to disk as in production.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.peers.timing import timed

Row = tuple[str, str, str]
NAMES = [f"train/metric_{number}" for number in range(20)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000, help="points of the long series")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    with installation():
        rows = [*reads(options.points, options.repeats), *writes(options.points, options.repeats)]
    print_table(rows)


@contextmanager
def installation() -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="hone-bench-") as home:
        for name in ("DATABASE_URL", "REDIS_URL"):
            os.environ.pop(name, None)
        os.environ |= {"HONE_HOME": home, "DJANGO_SETTINGS_MODULE": "webapp.settings", "HONE_LOG_LEVEL": "ERROR"}
        import django
        from django.core.management import call_command

        from webapp.system.embedded import Servers

        with Servers(Path(home)).running():
            django.setup()
            call_command("migrate", verbosity=0)
            yield
            from django.db import connections

            connections.close_all()


def new_run() -> Any:
    from webapp.accounts.models import Project
    from webapp.runs.models import Queue, Run

    project, _ = Project.objects.get_or_create(slug="benchmark", defaults={"name": "Benchmark"})
    Queue.objects.get_or_create(name="default")
    return Run.objects.create(project=project, name="benchmark", kind="external", queue_id="default")


def points(first: int, count: int, seed: int = 0) -> Any:
    from webapp.metrics.store import Points

    steps = np.arange(first, first + count)
    return Points.of(steps, np.random.default_rng(seed).normal(size=count), 1.7e9 + steps * 0.01)


def writes(total: int, repeats: int) -> Iterator[Row]:
    yield rate("append, one series, 100,000 points a batch", total, repeats, names=1, batch=100_000)
    yield rate("append, 20 series, 1,000 points a batch each", total, repeats, names=20, batch=1_000)
    yield rate("append, 20 series, 25 points a batch each", total // 20, repeats, names=20, batch=25)
    yield rate("append, 20 series, 1 point a batch each", total // 200, repeats, names=20, batch=1)


def rate(title: str, total: int, repeats: int, *, names: int, batch: int) -> Row:
    a_second = points_a_second(total, repeats, names=names, batch=batch)
    return title, f"{a_second:,.0f} points/s", f"{1000 * names * batch / a_second:.2f} ms a transaction"


def points_a_second(total: int, repeats: int, *, names: int, batch: int) -> float:
    """Over as many transactions as `total` points take; making the arrays is not counted."""
    from django.db import transaction

    from webapp.metrics import store

    batches = total // (names * batch)
    series = [{name: points(at * batch, batch) for name in NAMES[:names]} for at in range(batches)]

    def write() -> None:
        run_id = new_run().id
        for each in series:
            with transaction.atomic():
                store.append(run_id, each)

    return batches * names * batch / timed(write, repeats)


def reads(total: int, repeats: int) -> Iterator[Row]:
    from django.db import connection, transaction

    from webapp.metrics import queries, store
    from webapp.metrics.export import export

    run, tokens = new_run(), points(0, total)._replace(values=np.arange(total))
    with transaction.atomic():
        store.append(run.id, {"loss": points(0, total), "train/tokens": tokens})
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size('metric_chunks') / (SELECT sum(count) FROM metric_chunks)")
        bytes_per_point = float(cursor.fetchone()[0])
    middle = {"start": total // 2, "stop": total // 2 + 20_000}
    window = queries.window
    timings: list[tuple[str, Callable[[], Any]]] = [
        (f"window of all {total:,} points, 1,000 shown", lambda: window(run.id, "loss")),
        ("the same over relative time", lambda: window(run.id, "loss", x="relative")),
        ("the same over tokens (reads every token count)", lambda: window(run.id, "loss", x="tokens")),
        ("window of 20,000 points in the middle", lambda: window(run.id, "loss", **middle)),
        ("every point, raw", lambda: queries.raw(run.id, "loss")),
        ("summary", lambda: queries.summaries([run.id], ["loss"])),
        *(
            (f"export as {kind}", lambda kind=kind: drain(export(run, ["loss"], kind)))
            for kind in ("csv", "jsonl", "parquet")
        ),
    ]
    for title, work in timings:
        yield title, f"{1000 * timed(work, repeats):.1f} ms", ""
    yield "stored", f"{bytes_per_point:.1f} bytes/point", "envelopes and indices included"


def drain(pieces: Iterator[bytes]) -> None:
    for _ in pieces:
        pass


def print_table(rows: list[Row]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for title, figure, remark in rows:
        print(f"{title:<{widths[0]}}  {figure:>{widths[1]}}  {remark}".rstrip())


if __name__ == "__main__":
    main()
