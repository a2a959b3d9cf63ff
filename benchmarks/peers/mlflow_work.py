"""MLflow: `python mlflow_work.py DATABASE_URL FOLDER REPEATS POINTS`. Its server runs on PostgreSQL, with one worker.

The long series and the many runs are put into its tables by SQL: over HTTP they would take minutes.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from typing import Any

import mlflow
from mlflow.entities import Metric
from sqlalchemy import create_engine, text
from timing import READ, SPIKE, await_answer, free_port, spread, timed, value

RUNS, METRICS, SHORT = 2000, 20, 20_000


def main(store: str, folder: str, repeats: int, points: int) -> None:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--port", str(port)]
    command += ["--workers", "1", "--default-artifact-root", folder]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            await_answer(f"{address}/health")
            mlflow.set_tracking_uri(address)
            print(json.dumps({"version": mlflow.__version__, **work(address, store, repeats, points)}))
        finally:
            process.terminate()


def work(address: str, store: str, repeats: int, points: int) -> dict[str, Any]:
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("benchmark")
    run, rates = "", []
    for _ in range(repeats):
        run = client.create_run(experiment).info.run_id
        rates.append(ingest(client, run, 0, SHORT))
    ingest(client, run, SHORT, READ)
    return {"ingest": statistics.median(rates), "call": call(experiment, 300, True),
            "call_asynchronous": call(experiment, 1000, False), "chart": chart(address, store, run, repeats, points),
            "read": read(client, run, repeats), "table": table(client, store, repeats)}  # fmt: skip


def ingest(client: Any, run: str, first: int, last: int) -> float:
    """Points a second by log_batch, with 1,000 points a call: more it refuses."""
    batches = [
        [Metric("loss", 0.1 * step, 1_700_000_000_000 + step, step) for step in range(at, at + 1000)]
        for at in range(first, last, 1000)
    ]
    began = time.perf_counter()
    for batch in batches:
        client.log_batch(run, metrics=batch)
    return (last - first) / (time.perf_counter() - began)


def call(experiment: str, count: int, synchronous: bool) -> list[float]:
    took = []
    with mlflow.start_run(experiment_id=experiment):
        for step in range(count):
            began = time.perf_counter()
            mlflow.log_metric("loss", 0.5, step=step, synchronous=synchronous)
            took.append(time.perf_counter() - began)
        if not synchronous:
            mlflow.flush_async_logging()
    return spread(took)


def chart(address: str, store: str, run: str, repeats: int, points: int) -> dict[str, Any]:
    """What its page asks for: at most 2,500 points of the series."""
    spike = next(step for step in range(points) if value(step, points) == SPIKE)
    with create_engine(store).begin() as connection:
        connection.execute(text(
            "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) SELECT 'long', CASE WHEN i = :spike "
            "THEN :high ELSE random() END, 1700000000000 + i, i, false, :run FROM generate_series(0, :last) AS i"
        ), {"spike": spike, "high": SPIKE, "run": run, "last": points - 1})  # fmt: skip
        connection.execute(text("ANALYZE metrics"))
    query = urllib.parse.urlencode({"run_ids": run, "metric_key": "long", "max_results": 2500})
    path = f"{address}/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?{query}"
    found: list[dict[str, Any]] = []

    def ask() -> None:
        found[:] = json.loads(urllib.request.urlopen(path).read())["metrics"]

    seconds = timed(ask, repeats)
    return {"seconds": seconds, "points": len(found), "spike": any(point["value"] == SPIKE for point in found)}


def read(client: Any, run: str, repeats: int) -> dict[str, Any]:
    seconds = timed(lambda: client.get_metric_history(run, "loss"), repeats)
    return {"seconds": seconds, "points": len(client.get_metric_history(run, "loss"))}


def table(client: Any, store: str, repeats: int) -> float:
    """A page of 100 of 2,000 runs with 20 metrics each, filtered and sorted by one of them."""
    experiment = client.create_experiment("table")
    like = client.create_run(experiment).info.run_id
    with create_engine(store).begin() as connection:
        connection.execute(text(RUN_ROWS), {"like": like, "runs": RUNS})
        connection.execute(text(METRIC_ROWS), {"experiment": int(experiment), "metrics": METRICS})
        connection.execute(text("ANALYZE"))
    ask = {"experiment_ids": [experiment], "filter_string": "metrics.m0 < 0.5", "order_by": ["metrics.m0 ASC"]}
    return timed(lambda: client.search_runs(**ask, max_results=100), repeats)


COLUMNS = "name, source_type, source_name, entry_point_name, user_id, status, start_time, lifecycle_stage, artifact_uri"
RUN_ROWS = f"""
    INSERT INTO runs (run_uuid, experiment_id, {COLUMNS}) SELECT md5(i::text), experiment_id, {COLUMNS}
    FROM runs, generate_series(1, :runs) AS i WHERE run_uuid = :like"""
METRIC_ROWS = """
    INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)
    SELECT 'm' || i, random(), 1700000000000, 0, false, run_uuid
    FROM runs, generate_series(0, :metrics - 1) AS i WHERE experiment_id = :experiment"""


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
