"""The web server shares a few connections to PostgreSQL among all requests, and loses none, whatever clients do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from django.db import connection, transaction

from tests.system.test_up import free_port

ROOT = Path(__file__).resolve().parents[2]
NAME, MOST = "hone-web-test", 3


@pytest.fixture
def web(live_world) -> Iterator[httpx.Client]:
    """A server process of its own with three connections, and the viewer's client."""
    from webapp.accounts import actions as accounts

    token = accounts.create_token(live_world.editor, "connections")[1]
    home = os.environ["HONE_HOME"]
    database = f"postgresql://hone@/{connection.settings_dict['NAME']}?host={quote(home, safe='')}%2Frun"
    with serving(f"{database}&application_name={NAME}", MOST) as address:
        yield httpx.Client(base_url=f"{address}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30)


@contextmanager
def serving(database: str, connections: int) -> Iterator[str]:
    port = free_port()
    environment = os.environ | {"DATABASE_URL": database, "HONE_WEB_CONNECTIONS": str(connections)}
    command = [sys.executable, "-m", "uvicorn", "webapp.asgi:application", "--port", str(port), "--log-level", "error",
               "--lifespan", "off"]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(f"{address}/healthz", process)
            yield address
        finally:
            process.terminate()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    while True:
        assert process.poll() is None
        try:
            httpx.get(address)
            return
        except httpx.TransportError:
            time.sleep(0.05)


def backends() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [NAME])
        return int(cursor.fetchone()[0])


def statuses(web: httpx.Client, path: str, requests: int) -> Counter[int]:
    with ThreadPoolExecutor(24) as pool:
        return Counter(pool.map(lambda _: web.get(path).status_code, range(requests)))


def test_many_requests_at_once_share_three_connections_and_outlive_a_restart(web, live_world) -> None:
    path = f"/runs/{live_world.run.pk}/metrics"
    assert statuses(web, path, 96) == {200: 96}
    assert 1 <= backends() <= MOST
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [NAME])
    assert statuses(web, path, 24) == {200: 24}
    assert backends() <= MOST


def test_clients_that_leave_or_read_slowly_take_no_connection_with_them(web, live_world) -> None:
    from webapp.metrics import store
    from webapp.metrics.points import Points

    run, steps = live_world.run.pk, np.arange(300_000)
    with transaction.atomic():
        store.append(run, {"long": Points.of(steps, steps / 3, steps)})
    readers = [web.stream("GET", f"/runs/{run}/export", params={"name": "long"}) for _ in range(2 * MOST)]
    followers = [web.stream("GET", f"/runs/{run}/events") for _ in range(2 * MOST)]
    for opened in (*readers, *followers):
        assert opened.__enter__().status_code == 200  # and none of them is read on
    assert statuses(web, f"/runs/{run}/metrics", 24) == {200: 24}
    for opened in (*readers, *followers):
        opened.__exit__(None, None, None)
    for _ in range(10 * MOST):
        with pytest.raises(httpx.ReadTimeout):
            web.get(f"/runs/{run}/export", params={"name": "long", "format": "jsonl"}, timeout=0.001)
    assert statuses(web, f"/runs/{run}/metrics", 24) == {200: 24}
    assert backends() <= MOST


def test_while_the_database_is_away_everybody_is_told_to_come_back() -> None:
    """Without a pool, which would wait for ten seconds first."""
    token = {"Authorization": "Bearer hone_any", "Idempotency-Key": "a"}
    points = {"series": {"loss": {"value": [1.0]}}}
    with serving(f"postgresql://hone@127.0.0.1:{free_port()}/hone", 0) as address:
        read = httpx.get(f"{address}/api/v1/runs", headers=token)
        written = httpx.post(f"{address}/api/v1/runs/1/metrics", json=points, headers=token)
        page = httpx.get(address, headers={"Cookie": f"sessionid={'x' * 32}"})
    for answer in (read, written):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json() == {"detail": "The database does not answer. Try again in a moment.", "errors": []}
    assert page.status_code == 503
    assert "The database does not answer" in page.text
