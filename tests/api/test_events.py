"""A run's event stream over real HTTP: nothing missed, nothing held."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import httpx
import pytest
from django.db import connection

from tests.api.world import World
from webapp.accounts import actions as accounts
from webapp.api import events
from webapp.metrics import actions as metrics
from webapp.runs import actions, listening, news

pytestmark = pytest.mark.django_db(transaction=True)
SETTLED_WITHIN_S = 5.0


class Event(NamedTuple):
    id: str
    type: str
    data: Any


class Stream:
    """Parses text/event-stream by the rules of the HTML standard, comments kept."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.comments: list[str] = []
        self._lines = response.iter_lines()

    def __iter__(self) -> Iterator[Event]:
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line:
                if "data" in fields:
                    yield Event(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))
                fields = {}
            elif line.startswith(":"):
                self.comments.append(line[1:].strip())
            else:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")

    def next(self) -> Event:
        return next(iter(self))


def headers_of(world: World, name: str = "viewer") -> dict[str, str]:
    return {"Authorization": f"Bearer {accounts.create_token(getattr(world, name), 'events')[1]}"}


@contextmanager
def following(url: str, headers: dict[str, str], last_id: str = "") -> Iterator[Stream]:
    more = {"Last-Event-ID": last_id} if last_id else {}
    with httpx.stream("GET", url, headers=headers | more, timeout=10) as response:
        assert response.status_code == 200, response.read()
        yield Stream(response)


def log(run: Any, step: int) -> None:
    metrics.log_external(run, {"loss": {"step": [step], "value": [1.0 / step]}})


def test_a_point_is_on_the_stream_within_a_second(server: str, live_world: World) -> None:
    run = live_world.external
    with following(f"{server}/runs/{run.pk}/events", headers_of(live_world)) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["x-accel-buffering"] == "no"
        assert stream.next().type == "hello"
        started = time.monotonic()
        log(run, 7)
        event = next(event for event in stream if event.type == "points")
        assert time.monotonic() - started < 1.0
    assert event.id
    assert event.data["loss"]["step"] == [7]


def test_a_reconnecting_viewer_gets_exactly_what_it_missed(server: str, live_world: World) -> None:
    run, headers = live_world.external, headers_of(live_world)
    url = f"{server}/runs/{run.pk}/events"
    with following(url, headers) as stream:
        stream.next()
        log(run, 3)
        seen = next(event for event in stream if event.type == "points")
    for step in (4, 5, 6):
        log(run, step)
    steps = []
    with following(url, headers, seen.id) as stream:
        for event in stream:
            assert event.type not in ("hello", "reset")
            if event.type == "points":
                steps += event.data["loss"]["step"]
            if steps and steps[-1] == 6:
                break
    assert steps == [4, 5, 6]


def test_a_page_goes_on_from_the_event_that_it_was_made_at(server: str, live_world: World) -> None:
    """Where the browser reconnects later, what it saw last counts."""
    run, headers = live_world.external, headers_of(live_world)
    log(run, 3)
    url = f"{server}/runs/{run.pk}/events?after={news.tail(run.pk)}"
    log(run, 4)
    log(run, 5)
    with following(url, headers) as stream:
        first = next(event for event in stream if event.type == "points")
        assert first.data["loss"]["step"] == [4]
    with following(url, headers, first.id) as stream:
        assert next(event for event in stream if event.type == "points").data["loss"]["step"] == [5]


def test_a_viewer_who_missed_too_much_is_told_to_read_again(server: str, live_world: World) -> None:
    with following(f"{server}/runs/{live_world.external.pk}/events", headers_of(live_world), "1-1") as stream:
        assert stream.next().type == "reset"


def test_a_change_of_state_and_a_value_that_is_no_number_arrive(server: str, live_world: World) -> None:
    run = live_world.external
    with following(f"{server}/runs/{run.pk}/events", headers_of(live_world)) as stream:
        stream.next()
        metrics.log_external(run, {"loss": {"step": [9], "value": ["NaN"]}})
        point = next(event for event in stream if event.type == "points")
        assert point.data["loss"]["value"] == ["NaN"]
        actions.finish_external(run, "succeeded")
        state = next(event for event in stream if event.type == "state" and event.data["status"] != "running")
        assert state.data["status"] == "succeeded"


def test_a_silent_stream_pings_and_ends_in_the_end(
    server: str, live_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "PING_S", 0.2)
    monkeypatch.setattr(events, "LONGEST_S", 0.5)
    with following(f"{server}/runs/{live_world.external.pk}/events", headers_of(live_world)) as stream:
        assert [event.type for event in stream] == ["hello"]
        assert "ping" in stream.comments


@pytest.mark.parametrize(("name", "status"), [("stranger", 404), ("nobody", 401)])
def test_nobody_else_can_listen(name: str, status: int, server: str, live_world: World) -> None:
    headers = headers_of(live_world, name) if name != "nobody" else {}
    assert httpx.get(f"{server}/runs/{live_world.external.pk}/events", headers=headers).status_code == status


def test_idle_viewers_hold_neither_a_thread_nor_a_database_connection(server: str, live_world: World) -> None:
    run, headers = live_world.external, headers_of(live_world)
    httpx.get(f"{server}/runs", headers=headers)
    settle(lambda: backends() == 1)
    threads, viewers = threading.active_count(), 25
    with ExitStack() as stack:
        streams = [stack.enter_context(following(f"{server}/runs/{run.pk}/events", headers)) for _ in range(viewers)]
        assert {stream.next().type for stream in streams} == {"hello"}
        settle(lambda: threading.active_count() <= threads + 2 and backends() == 1)
        log(run, 8)
        for stream in streams:
            assert next(event for event in stream if event.type == "points").data["loss"]["step"] == [8]
        settle(lambda: threading.active_count() <= threads + 2 and backends() == 1)


async def test_a_viewer_who_leaves_at_any_moment_leaves_nothing_behind() -> None:
    """Cancelled at each of many moments around news that arrive."""

    async def view() -> None:
        async for _ in news.follow(1):
            pass

    viewers = [asyncio.create_task(view()) for _ in range(60)]
    await asyncio.sleep(0.3)
    await asyncio.to_thread(news.publish, 1, "state", {})
    for viewer in viewers:
        await asyncio.sleep(0)
        viewer.cancel()
    _, staying = await asyncio.wait(viewers, timeout=2)
    assert not staying
    await asyncio.sleep(2 * listening.RECONNECT_S)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def backends() -> int:
    """Connections to this test's database, its own included."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def settle(holds: Any) -> None:
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, (threading.active_count(), backends())
        time.sleep(0.02)
