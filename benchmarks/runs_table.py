"""How long a page of 100 of 100,000 runs with 20 metrics each takes over HTTP (target: <= 100 ms).

`python benchmarks/runs_table.py` starts its own PostgreSQL and Redis in a temporary home, writes the rows straight into
the database, starts the application (uvicorn) and prints the median and the slowest of some warm requests. `--home`
keeps the database for the next time. One more run in 21 lies in another project; some 400 are running.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

METRICS = ["eval/loss", "eval/accuracy", "eval/perplexity", "train/loss", "train/tokens_per_second"]
METRICS += [f"train/metric_{number:02}" for number in range(15)]
QUERIES = {
    "newest first": {},
    "by a metric's last value": {"sort": "eval/loss"},
    "the same, descending": {"sort": "-eval/loss"},
    "by its least value": {"sort": "metrics.eval/loss.min"},
    "by its greatest value": {"sort": "-metrics.eval/loss.max"},
    "by its mean": {"sort": "metrics.eval/loss.mean"},
    "by a metric that 1 run in 100 has": {"sort": "rare/score"},
    "by name": {"sort": "name"},
    "by duration": {"sort": "-duration"},
    "by user": {"sort": "user"},
    "by state": {"sort": "status"},
    "by a parameter of the spec": {"sort": "params.optimizer.lr"},
    "a metric below its 1 %, by it": {"q": "metrics.eval/loss < 1.01", "sort": "eval/loss"},
    "a metric below its median, by it": {"q": "metrics.eval/loss < 1.5", "sort": "eval/loss"},
    "a metric below its median, by another's mean": {
        "q": "metrics.eval/loss < 1.5", "sort": "-metrics.eval/accuracy.mean",
    },
    "three metrics at once, newest first": {
        "q": "metrics.eval/loss < 1.5 and metrics.eval/accuracy.max > 0.5 and metrics.train/loss.min < 1.2"
    },
    "a metric that no run fulfils": {"q": "metrics.eval/loss < 0"},
    "method and metric, by the metric": {
        "q": "params.method = 'lora' and metrics.eval/loss < 1.2", "sort": "eval/loss",
    },
    "a parameter, newest first": {"q": "params.optimizer.lr > 0.00099"},
    "a tag, by a metric": {"q": "tags = 'night-7'", "sort": "eval/loss"},
    "failed ones, by a metric": {"q": "status = 'failed'", "sort": "eval/loss"},
    "of one user, by a metric": {"q": "user = 'person-3'", "sort": "eval/loss"},
    "longer than 59 minutes": {"q": "duration > 59m", "sort": "-duration"},
    "words": {"q": "lora 4711"},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=15)
    parser.add_argument("--home", type=Path, help="keeps the database here")
    parser.add_argument("--only", default="", help="titles that contain this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hone-bench-") as temporary:
        home = options.home or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        for name in ("DATABASE_URL", "REDIS_URL"):
            os.environ.pop(name, None)
        os.environ |= {"HONE_HOME": str(home), "DJANGO_SETTINGS_MODULE": "webapp.settings", "HONE_LOG_LEVEL": "ERROR"}
        from webapp.system.embedded import Servers

        with Servers(home).running():
            measure(options)


def measure(options: argparse.Namespace) -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    from webapp.runs.models import Run

    if not Run.objects.exists():
        begun = time.perf_counter()
        fill(options.runs)
        print(f"filled in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    with serving() as address:
        ask = Client(address)
        print(f"| {options.runs:,} runs x {len(METRICS)} metrics, a page of 100 | page | API |\n|---|---|---|")
        for title, query in QUERIES.items():
            if options.only in title:
                print(f"| {title} | {ask.timed(page(query), options)} | {ask.timed(api(query), options)} |", flush=True)


def page(query: dict[str, str]) -> str:
    return f"/p/bench/runs/?{urlencode({**query, 'rows': '100'})}"


def api(query: dict[str, str]) -> str:
    sort = query.get("sort", "-id")
    sign, name = ("-", sort[1:]) if sort.startswith("-") else ("", sort)
    if "/" in name and not name.startswith("metrics."):
        sort = f"{sign}metric.{name}"
    return f"/api/v1/runs?{urlencode({**query, 'project': 'bench', 'sort': sort, 'limit': '100'})}"


class Client:
    """One connection that is kept open, signed in as a person and with a token."""

    def __init__(self, address: tuple[str, int]) -> None:
        from django.conf import settings
        from django.test import Client as Browser

        from webapp.accounts import actions
        from webapp.accounts.models import User

        user = User.objects.get(username="bench")
        browser = Browser()
        browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        cookie = browser.cookies[settings.SESSION_COOKIE_NAME].value
        token = actions.create_token(user, "bench")[1]
        self.connection = http.client.HTTPConnection(*address)
        self.headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}", "Authorization": f"Bearer {token}"}

    def timed(self, path: str, options: argparse.Namespace) -> str:
        if self.status(path) != 200:
            return "refused"
        times = [self.took(path) for _ in range(options.requests)]
        return f"{1e3 * statistics.median(times):.0f} ms (slowest {1e3 * max(times):.0f})"

    def took(self, path: str) -> float:
        begun = time.perf_counter()
        assert self.status(path) == 200
        return time.perf_counter() - begun

    def status(self, path: str) -> int:
        self.connection.request("GET", path, headers=self.headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


@contextmanager
def serving() -> Iterator[tuple[str, int]]:
    import uvicorn

    from webapp.asgi import application

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield listener.getsockname()
    server.should_exit = True
    thread.join(10)


SPEC = """jsonb_build_object('kind', 'finetune', 'model', jsonb_build_object('source', 'run', 'run', 1),
    'data', jsonb_build_object('source', 'builtin', 'name', 'stdlib-source'),
    'method', jsonb_build_object('name', (ARRAY['lora', 'dora', 'full', 'ia3'])[1 + i %% 4], 'rank', 2 ^ (i %% 7)),
    'optimizer', jsonb_build_object('name', 'adamw', 'lr', round((random() * 1e-3)::numeric, 7), 'weight_decay', 0.1,
                                    'betas', jsonb_build_array(0.9, 0.95)),
    'schedule', jsonb_build_object('name', 'cosine', 'warmup_steps', 10), 'steps', 200, 'batch_size', 16,
    'sequence_length', 128, 'eval_every', 50, 'checkpoint_every', 100, 'seed', i %% 5, 'precision', 'auto')"""
FACTS = """jsonb_build_object('parameters', jsonb_build_object('total', 1000000, 'trainable', 8000 + i %% 100),
    'model', jsonb_build_object('architecture', 'llama', 'layers', 6), 'data', jsonb_build_object('tokens', 400000))"""
RESULT = "jsonb_build_object('memory', jsonb_build_object('peak_bytes', 1000000000 + i * 1000))"
RUNS = f"""
    INSERT INTO runs (project_id, name, kind, spec, tags, created_by_id, status, queue, priority, gpus, max_attempts,
                      losses, step, steps, phase, facts, provenance, result, error_type, error_message, created_at,
                      queued_at, started_at, ended_at)
    SELECT CASE WHEN i %% 21 > 0 THEN %s ELSE %s END, 'lora r' || i %% 64 || ' ' || i, 'finetune', {SPEC},
           ARRAY['night-' || i %% 100, 'all']::varchar[], (%s::int[])[1 + i %% 20],
           CASE WHEN i > %s - 400 THEN 'running' WHEN i %% 10 = 0 THEN 'failed' ELSE 'succeeded' END, 'default', 0, 1,
           3, 0, 200, 200, 'train', {FACTS}, '{{}}', {RESULT}, '', '', now() - interval '1 minute' * (%s - i),
           now() - interval '1 minute' * (%s - i), now() - interval '1 minute' * (%s - i),
           CASE WHEN i <= %s - 400 THEN now() - interval '1 minute' * (%s - i) + interval '1 hour' * random() END
    FROM generate_series(1, %s) AS i"""
SERIES = """
    INSERT INTO series (run_id, name, tail, count, finite_count, total, minimum, maximum, first, last, last_step,
                        first_time, last_time)
    SELECT id, name, '{200}', 200, 200, 200 * (v + 0.2), v - 0.1, v + 1, v + 1, v, 200, 0, 3600
    FROM (SELECT id, metric AS name, CASE WHEN metric = 'eval/accuracy' THEN random() ELSE 1 + random() END AS v
          FROM runs, unnest(%s::text[]) AS metric WHERE project_id IN (%s, %s) ORDER BY id) AS found"""
RARE = """
    INSERT INTO series (run_id, name, tail, count, finite_count, total, minimum, maximum, first, last)
    SELECT id, 'rare/score', '{1}', 1, 1, 0.5, 0.5, 0.5, 0.5, random() FROM runs WHERE mod(id, 100) = 0"""


def fill(count: int) -> None:
    """Every row that the table reads, made by the database."""
    from django.db import connection

    from webapp.accounts import actions
    from webapp.runs.models import Queue

    user = actions.create_user("bench")
    people = [actions.create_user(f"person-{number}").pk for number in range(20)]
    ours, other = actions.create_project(user, "Bench"), actions.create_project(user, "Other")
    Queue.objects.get_or_create(name="default")
    with connection.cursor() as cursor:
        cursor.execute(RUNS, [ours.pk, other.pk, people, *[count * 21 // 20] * 7])
        cursor.execute("INSERT INTO attempts (id, run_id, number, worker_name, devices, status, sequence, last_step,"
                       " error_type, error_message, started_at, heartbeat_at, ended_at) SELECT gen_random_uuid(), id,"
                       " 1, 'w', '[]', status, 0, 200, '', '', started_at, started_at, ended_at FROM runs"
                       " WHERE project_id IN (%s, %s)", [ours.pk, other.pk])  # fmt: skip
        cursor.execute(SERIES, [METRICS, ours.pk, other.pk])
        cursor.execute(RARE)
        cursor.execute("VACUUM ANALYZE")  # as autovacuum does within minutes


if __name__ == "__main__":
    main()
