"""News reach readers through real Redis, in order; whoever may have missed something is told `reset`."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest
from django.db import transaction

from tests.runs.wire import follow, kinds, take
from webapp.runs import listening, news


async def test_a_reader_is_greeted_and_then_told_everything_in_order(wire, run_id) -> None:
    news.publish(run_id, "log", {"lines": ["before"]})
    async with aclosing(follow(run_id)) as stream:
        assert kinds(await take(stream, 1)) == ["hello"]
        for step in range(20):
            news.publish(run_id, "points", {"train/loss": {"step": step, "value": 0.5, "time": 1.0}})
        told = await take(stream, 20)
    assert [data["train/loss"]["step"] for _, _, data in told] == list(range(20))
    assert [listening._parsed(entry_id) for entry_id, _, _ in told] == sorted(listening._parsed(i) for i, _, _ in told)


async def test_news_arrive_within_a_tenth_of_a_second(wire, run_id) -> None:
    async with aclosing(follow(run_id)) as stream:
        await take(stream, 1)
        waits = []
        for _ in range(20):
            sent = time.monotonic()
            news.publish(run_id, "state", {})
            await take(stream, 1)
            waits.append(time.monotonic() - sent)
    assert sorted(waits)[10] < 0.1


async def test_a_reader_who_comes_back_with_an_id_catches_up_without_a_gap_or_a_double(wire, run_id) -> None:
    async with aclosing(follow(run_id)) as stream:
        await take(stream, 1)
        for step in range(10):
            news.publish(run_id, "state", {"step": step})
        seen = await take(stream, 4)
    news.publish(run_id, "state", {"step": 10})
    async with aclosing(follow(run_id, seen[-1][0])) as stream:
        seen += await take(stream, 7)
    assert [data["step"] for _, _, data in seen] == list(range(11))


async def test_a_newcomer_does_not_read_what_was_told_before(wire, run_id) -> None:
    sizes = 200 * [1000]
    for size in sizes:
        news.publish(run_id, "log", {"lines": ["x" * size]})
    before = wire.client.info("stats")["total_net_output_bytes"]
    async with aclosing(follow(run_id)) as stream:
        assert kinds(await take(stream, 1)) == ["hello"]
    assert wire.client.info("stats")["total_net_output_bytes"] - before < sum(sizes) / 4


async def test_a_reader_from_the_tail_hears_what_was_told_since_and_no_greeting(wire, run_id) -> None:
    assert news.tail(run_id) == "0-0"
    news.publish(run_id, "state", {"step": 1})
    tail = news.tail(run_id)
    news.publish(run_id, "state", {"step": 2})
    async with aclosing(follow(run_id, tail)) as stream:
        told = await take(stream, 1)
    assert [(kind, data) for _, kind, data in told] == [("state", {"step": 2})]


async def test_there_is_no_tail_while_redis_is_away(wire, run_id) -> None:
    wire.stop()
    assert news.tail(run_id) is None


async def test_a_reader_of_an_empty_stream_hears_the_first_news(wire, run_id) -> None:
    async with aclosing(follow(run_id)) as stream:
        [(hello_id, kind, _)] = await take(stream, 1)
        assert (hello_id, kind) == ("0-0", "hello")
        news.publish(run_id, "state", {})
        assert kinds(await take(stream, 1)) == ["state"]


async def test_a_reader_who_was_away_for_too_long_is_reset(wire, run_id) -> None:
    news.publish(run_id, "state", {"step": -1})
    [(old_id, _)] = wire.client.xrevrange(news.key_of(run_id), count=1)
    for _ in range(news.LONGEST + 300):  # the stream forgets its beginning
        wire.client.xadd(news.key_of(run_id), {"type": "state", "data": "{}"}, maxlen=news.LONGEST, approximate=True)
    async with aclosing(follow(run_id, old_id)) as stream:
        [(reset_id, kind, _)] = await take(stream, 1)
        assert kind == "reset"
        news.publish(run_id, "state", {"step": "next"})
        [(_, _, data)] = await take(stream, 1)
    assert data == {"step": "next"}
    assert reset_id != old_id and wire.client.xlen(news.key_of(run_id)) < news.LONGEST + 300


@pytest.mark.parametrize(
    "last_id",
    ["123-0", "99999999999999-5", "nonsense", "1-1; DROP", "-1-0", "9" * 40 + "-1", "0-1", "1", "\u0661-\u0662"],
)
async def test_an_id_that_the_stream_does_not_hold_is_answered_with_a_reset(wire, run_id, last_id) -> None:
    news.publish(run_id, "state", {})
    async with aclosing(follow(run_id, last_id)) as stream:
        assert kinds(await take(stream, 1)) == ["reset"]


async def test_a_wiped_redis_resets_a_reader_who_stays_connected(wire, run_id) -> None:
    async with aclosing(follow(run_id)) as stream:
        await take(stream, 1)
        news.publish(run_id, "state", {"step": 1})
        await take(stream, 1)
        wire.client.flushall()
        await asyncio.sleep(0.005)  # ids are milliseconds: a wipe within one could not be seen
        news.publish(run_id, "state", {"step": 2})
        assert kinds(await take(stream, 1)) == ["reset"]
        news.publish(run_id, "state", {"step": 3})
        [(_, kind, data)] = await take(stream, 1)
    assert (kind, data) == ("state", {"step": 3})


async def test_a_wiped_redis_resets_a_reader_who_comes_back(wire, run_id) -> None:
    news.publish(run_id, "state", {})
    [(last_id, _)] = wire.client.xrevrange(news.key_of(run_id), count=1)
    wire.client.flushall()
    async with aclosing(follow(run_id, last_id)) as stream:
        [(reset_id, kind, _)] = await take(stream, 1)
    assert (reset_id, kind) == ("0-0", "reset")


async def test_a_restarted_redis_resets_a_reader_and_news_go_on(wire, run_id) -> None:
    async with aclosing(follow(run_id)) as stream:
        await take(stream, 1)
        news.publish(run_id, "state", {"step": 1})
        await take(stream, 1)
        wire.stop()
        waiting = asyncio.ensure_future(take(stream, 1, timeout_s=20))
        await asyncio.sleep(0.2)
        wire.start()
        assert kinds(await waiting) == ["reset"]
        news.publish(run_id, "state", {"step": 2})
        assert [data for _, _, data in await take(stream, 1)] == [{"step": 2}]


async def test_publishing_to_a_redis_that_is_away_fails_nobody_and_resets_the_readers_later(wire, run_id) -> None:
    news.publish(run_id, "state", {"step": 0})
    wire.stop()
    started = time.monotonic()
    for step in range(200):
        news.publish(run_id, "state", {"step": step})
    assert time.monotonic() - started < 1.5
    wire.start()
    await asyncio.sleep(news.PAUSE_AFTER_FAILURE_S)
    async with aclosing(follow(run_id)) as stream:
        await take(stream, 1)
        news.publish(run_id, "state", {"step": "later"})
        told = await take(stream, 2)
        assert [(kind, data) for _, kind, data in told] == [("reset", {}), ("state", {"step": "later"})]
        news.publish(run_id, "state", {"step": "last"})
        assert kinds(await take(stream, 1)) == ["state"]  # the reset is said once


async def test_a_redis_that_swallows_everything_costs_a_publisher_one_second_at_most_now_and_then(
    settings, run_id, tmp_path
) -> None:
    async with await asyncio.start_server(lambda reader, writer: asyncio.sleep(60), "127.0.0.1", 0) as deaf:
        port = deaf.sockets[0].getsockname()[1]
        settings.REDIS_URL = f"redis://127.0.0.1:{port}"
        news._publisher.cache_clear()
        started = time.monotonic()
        await asyncio.to_thread(lambda: [news.publish(run_id, "state", {}) for _ in range(100)])
        took = time.monotonic() - started
    news._publisher.cache_clear()
    assert took < 2.5


async def test_silence_is_broken_by_pings_that_keep_the_place(wire, run_id, monkeypatch) -> None:
    monkeypatch.setattr(listening, "PING_S", 0.2)
    news.publish(run_id, "state", {})
    async with aclosing(follow(run_id)) as stream:
        told = await take(stream, 3)
        assert kinds(told) == ["hello", "ping", "ping"]
        assert len({entry_id for entry_id, _, _ in told}) == 1
        news.publish(run_id, "state", {})
        assert kinds(await take(stream, 1)) == ["state"]


async def test_readers_hear_pings_while_redis_is_away(wire, run_id, monkeypatch) -> None:
    monkeypatch.setattr(listening, "PING_S", 0.2)
    wire.stop()
    async with aclosing(follow(run_id)) as stream:
        assert kinds(await take(stream, 2)) == ["ping", "ping"]
        wire.start()
        assert "reset" in kinds(await take(stream, 3))


async def test_many_readers_hear_the_same_and_leave_no_connection_behind(wire, run_id) -> None:
    before = len(wire.client.client_list())

    async def read() -> list[int]:
        async with aclosing(follow(run_id)) as stream:
            await take(stream, 1)
            ready.release()
            return [data["step"] for _, _, data in await take(stream, 5, timeout_s=20)]

    ready = asyncio.Semaphore(0)
    readers = [asyncio.ensure_future(read()) for _ in range(50)]
    for _ in readers:
        await ready.acquire()
    for step in range(5):
        news.publish(run_id, "state", {"step": step})
    assert await asyncio.gather(*readers) == [list(range(5))] * 50
    await asyncio.sleep(0.1)
    assert len(wire.client.client_list()) <= before + 1


async def test_a_stream_ends_a_day_after_its_last_news(wire, run_id) -> None:
    news.publish(run_id, "state", {})
    assert 86_390 < wire.client.ttl(news.key_of(run_id)) <= 86_400


async def test_nan_travels(wire, run_id) -> None:
    async with aclosing(follow(run_id)) as stream:
        await take(stream, 1)
        news.publish(run_id, "points", {"loss": {"step": 1, "value": float("nan"), "time": 0.0}})
        [(_, _, data)] = await take(stream, 1)
    assert data["loss"]["value"] == "NaN"


@pytest.mark.django_db(transaction=True)
async def test_news_of_one_transaction_travel_together_and_those_of_a_savepoint_go_with_it(wire, run_id) -> None:
    def change() -> None:
        with transaction.atomic():
            news.publish_on_commit(run_id, "state", {"step": 1})
            news.publish_on_commit(run_id, "state", {"step": 2})
            with pytest.raises(RuntimeError), transaction.atomic():
                news.publish_on_commit(run_id, "state", {"step": 3})
                raise RuntimeError
            with transaction.atomic():
                news.publish_on_commit(run_id, "state", {"step": 4})
            news.publish_on_commit(run_id, "state", {"step": 5})

    async with aclosing(news.follow(run_id)) as stream:
        await anext(stream)
        await asyncio.to_thread(change)
        told = await anext(stream)
        while len(told) < 4:
            told += await anext(stream)
    assert [each.json for each in told] == [b'{"step":%d}' % step for step in (1, 2, 4, 5)]


async def test_what_postgres_and_browsers_would_stumble_over_is_mended_on_the_way(wire, run_id) -> None:
    async with aclosing(follow(run_id)) as stream:
        await take(stream, 1)
        news.publish(run_id, "log", {"lines": ["a\x00b", "\ud800", "\U0001f600"]})
        [(_, _, data)] = await take(stream, 1)
    assert data["lines"][::2] == ["ab", "\U0001f600"]
    assert data["lines"][1].encode()
