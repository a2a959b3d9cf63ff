"""Points in and out over HTTP: the rate of one client, the cost of `run.log`, a full read as numpy.

`python benchmarks/ingest.py` starts its own PostgreSQL, Redis and web server in a temporary home and prints one table.
Beside other trackers the same is measured by `benchmarks/metrics_vs_peers.py`.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.peers.timing import free_port, timed

ROOT = Path(__file__).resolve().parents[1]
Row = tuple[str, str, str]
Maker = Callable[[int, int, int], tuple[bytes, dict[str, str]]]
ARROW = "application/vnd.apache.arrow.stream"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--points", type=int, default=1_000_000, help="points of the long series that is read")
    options = parser.parse_args()
    with installation() as (address, token, _):
        os.environ |= {"HONE_URL": address, "HONE_TOKEN": token}
        rows = [*ingest(options.repeats), *logging(), *reading(options.points, options.repeats)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for title, figure, remark in rows:
        print(f"{title:<{widths[0]}}  {figure:>{widths[1]}}  {remark}".rstrip())


@contextmanager
def installation() -> Iterator[tuple[str, str, Path]]:
    """The server's address, a token, and the folder of PostgreSQL's socket."""
    with tempfile.TemporaryDirectory(prefix="hone-bench-") as home:
        for name in ("DATABASE_URL", "REDIS_URL", "RANK"):
            os.environ.pop(name, None)
        os.environ |= {"HONE_HOME": home, "DJANGO_SETTINGS_MODULE": "webapp.settings", "HONE_LOG_LEVEL": "ERROR"}
        import django
        from django.core.management import call_command

        from webapp.system.embedded import Servers

        servers = Servers(Path(home))
        with servers.running():
            django.setup()
            call_command("migrate", verbosity=0)
            with serving() as address:
                yield address, prepared(), servers.run_dir
            from django.db import connections

            connections.close_all()


def prepared() -> str:
    from webapp.accounts import actions as accounts

    user = accounts.create_user("benchmark")
    accounts.create_project(user, "Benchmark")
    return accounts.create_token(user, "benchmark")[1]


@contextmanager
def serving() -> Iterator[str]:
    """The web server as `make up` runs it, in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "webapp.asgi:application", "--port", str(port), "--log-level", "error",
               "--lifespan", "off"]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            answers(f"http://127.0.0.1:{port}/healthz", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def answers(address: str, process: subprocess.Popen[Any], patience_s: float = 120) -> None:
    until = time.monotonic() + patience_s
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(address, timeout=5)
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise SystemExit(f"{address} does not answer.")


def ingest(repeats: int) -> Iterator[Row]:
    """Batches of one client, one after the other; making the bodies is not counted."""
    for points, names in ((10_000, 1), (100_000, 1), (100_000, 20), (1_000, 20)):
        for kind, make in (("JSON", as_json), ("JSON, gzip", packed(as_json)), ("Arrow", as_arrow)):
            yield rate(f"{kind}: batches of {points:,} points, {names} series", points, names, make, repeats)


def rate(title: str, points: int, names: int, make: Maker, repeats: int) -> Row:
    bodies = made(points, names, make)
    size = sum(len(body) for body, _ in bodies) / len(bodies) / points
    return title, f"{points_a_second(points, bodies, repeats):,.0f} points/s", f"{size:.0f} bytes a point on the wire"


def made(points: int, names: int, make: Maker) -> list[tuple[bytes, dict[str, str]]]:
    batches = max(5, min(30, 500_000 // points))
    return [make(batch, points // names, names) for batch in range(batches)]


def points_a_second(points: int, bodies: list[tuple[bytes, dict[str, str]]], repeats: int) -> float:
    rates = []
    with api() as client:
        for _ in range(repeats):
            run = client.post("/runs", json={"project": "benchmark", "spec": {"kind": "external"}}).json()["id"]
            began = time.perf_counter()
            for number, (body, headers) in enumerate(bodies):
                key = {"Idempotency-Key": str(number)}
                client.post(f"/runs/{run}/metrics", content=body, headers=headers | key).raise_for_status()
            rates.append(len(bodies) * points / (time.perf_counter() - began))
    return statistics.median(rates)


def api() -> httpx.Client:
    headers = {"Authorization": f"Bearer {os.environ['HONE_TOKEN']}"}
    return httpx.Client(base_url=f"{os.environ['HONE_URL']}/api/v1", headers=headers, timeout=60)


def columns(batch: int, each: int) -> tuple[Any, Any, Any]:
    steps = np.arange(batch * each, (batch + 1) * each)
    return steps, np.random.default_rng(batch).normal(size=each), np.round(1.7e9 + steps * 0.01, 3)


def as_json(batch: int, each: int, names: int) -> tuple[bytes, dict[str, str]]:
    steps, values, times = (column.tolist() for column in columns(batch, each))
    series = {f"train/m{name}": {"step": steps, "value": values, "time": times} for name in range(names)}
    return json.dumps({"series": series}).encode(), {"Content-Type": "application/json"}


def packed(make: Maker) -> Maker:
    def make_packed(*shape: int) -> tuple[bytes, dict[str, str]]:
        body, headers = make(*shape)
        return gzip.compress(body, 1), headers | {"Content-Encoding": "gzip"}

    return make_packed


def as_arrow(batch: int, each: int, names: int) -> tuple[bytes, dict[str, str]]:
    import pyarrow as pa

    steps, values, times = columns(batch, each)
    codes = pa.array(np.repeat(np.arange(names, dtype=np.int32), each))
    words = pa.array([f"train/m{name}" for name in range(names)])
    table = pa.table({
        "name": pa.DictionaryArray.from_arrays(codes, words), "step": np.tile(steps, names),
        "value": np.tile(values, names), "time": np.tile(times, names),
    })  # fmt: skip
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue(), {"Content-Type": ARROW}


def logging() -> Iterator[Row]:
    """Each call timed by itself, while the threads write and send: back to back, and with 1 ms of work in between."""
    for metrics, calls, work_s in ((1, 200_000, 0.0), (5, 100_000, 0.0), (5, 5_000, 0.001)):
        import hone

        values = {f"train/m{number}": 0.5 * number for number in range(metrics)}
        run = hone.init("benchmark")
        took = np.array([call(run, values, work_s) for _ in range(calls)]) * 1e6
        run.finish()
        gap = "1 ms of work in between" if work_s else "back to back"
        median, p99, most = np.percentile(took, [50, 99, 100])
        remark = f"p99 {p99:.1f}, slowest {most:,.0f}; {run.dropped} dropped"
        yield f"run.log of {metrics} metrics, {calls:,} calls {gap}", f"{median:.2f} us", remark


def call(run: Any, values: dict[str, float], work_s: float) -> float:
    began = time.perf_counter()
    run.log(values)
    took = time.perf_counter() - began
    until = began + work_s
    while time.perf_counter() < until:
        pass
    return took


def reading(points: int, repeats: int) -> Iterator[Row]:
    import hone

    with api() as client:
        run = client.post("/runs", json={"project": "benchmark", "spec": {"kind": "external"}}).json()["id"]
        for batch in range(points // 100_000):
            body, headers = as_arrow(batch, 100_000, 1)
            client.post(f"/runs/{run}/metrics", content=body, headers=headers).raise_for_status()
    seconds = timed(lambda: hone.history(run, "train/m0"), repeats)
    yield f"hone.history of {points:,} points (Arrow)", f"{seconds:.3f} s", ""
    from hone import reads

    with reads.Client(f"{os.environ['HONE_URL']}/api/v1", os.environ["HONE_TOKEN"]) as client:
        read = timed(lambda: reads._csv(client.read(f"/runs/{run}/export", name="train/m0", format="csv")), repeats)
    yield "the same without pyarrow (CSV)", f"{read:.3f} s", ""


if __name__ == "__main__":
    main()
