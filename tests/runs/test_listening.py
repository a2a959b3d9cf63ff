"""One reader tells many followers: each gets everything once, none waits for another, and nothing stays behind."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing

from tests.runs.wire import follow, kinds, take
from webapp.runs import listening, news


def steps(items) -> list[int]:
    return [data["step"] for _, kind, data in items if kind == "state"]


def say(run_id: int, *numbers: int) -> None:
    for step in numbers:
        news.publish(run_id, "state", {"step": step})


async def test_two_followers_of_one_stream_share_a_connection_and_the_bytes_they_send(wire, run_id) -> None:
    before = len(wire.client.client_list())
    async with aclosing(news.follow(run_id)) as one, aclosing(news.follow(run_id)) as two:
        assert [[each.kind for each in await anext(stream)] for stream in (one, two)] == [["hello"], ["hello"]]
        say(run_id, 1)
        [first], [second] = await anext(one), await anext(two)
        assert first.event is second.event
        assert first.event == f'id: {first.id}\nevent: state\ndata: {{"step":1}}\n\n'.encode()
        assert len(wire.client.client_list()) <= before + 2  # the reader's and the publisher's


async def test_followers_of_many_streams_share_a_connection_and_hear_only_their_own(wire, run_id) -> None:
    before = len(wire.client.client_list())
    async with AsyncExitStack() as stack:
        keys = [run_id * 1000 + number for number in range(30)]
        streams = [await stack.enter_async_context(aclosing(follow(key))) for key in keys]
        for stream in streams:
            assert kinds(await take(stream, 1)) == ["hello"]
        for number, key in enumerate(keys):
            say(key, number, number + 100)
        for number, stream in enumerate(streams):
            assert steps(await take(stream, 2)) == [number, number + 100]
        assert len(wire.client.client_list()) <= before + 2


async def test_one_who_joins_late_misses_nothing_and_hears_nothing_twice(wire, run_id) -> None:
    async with aclosing(follow(run_id)) as early:
        await take(early, 1)
        say(run_id, *range(5))
        seen = await take(early, 5)
        say(run_id, 5, 6)  # the reader may have these before or after it greets the next two
        async with aclosing(follow(run_id, seen[1][0])) as late, aclosing(follow(run_id)) as new:
            both = asyncio.gather(take(late, 5), take(new, 1))
            await asyncio.sleep(0)
            say(run_id, 7)
            caught_up, [(place, greeting, _)] = await both
            assert (steps(caught_up), greeting) == ([2, 3, 4, 5, 6], "hello")
            say(run_id, 8)
            rest = await take(early, 4)
            assert steps(rest) == [5, 6, 7, 8]
            assert steps(await take(late, 2)) == [7, 8]
            after = [step for entry_id, _, step in rest if listening._parsed(entry_id) > listening._parsed(place)]
            assert [data for _, _, data in await take(new, len(after))] == after


async def test_one_who_does_not_keep_up_is_reset_and_holds_up_nobody(wire, run_id, monkeypatch) -> None:
    monkeypatch.setattr(listening, "MOST_WAITING", 10)
    async with aclosing(follow(run_id)) as slow, aclosing(follow(run_id)) as quick:
        await take(slow, 1)
        await take(quick, 1)
        for step in range(25):
            say(run_id, step)
            assert steps(await take(quick, 1)) == [step]
        [(place, kind, _), *others] = await take(slow, 1)
        assert kind == "reset" and not others
        rest = wire.client.xrange(news.key_of(run_id), f"({place}")
        assert 0 < len(rest) < 15
        say(run_id, 25)
        assert steps(await take(slow, len(rest) + 1)) == [*range(25 - len(rest), 25), 25]


async def test_a_wipe_resets_every_follower_of_a_stream_once(wire, run_id) -> None:
    async with aclosing(follow(run_id)) as one, aclosing(follow(run_id)) as two:
        for stream in (one, two):
            await take(stream, 1)
        say(run_id, 1)
        for stream in (one, two):
            assert steps(await take(stream, 1)) == [1]
        wire.client.flushall()
        await asyncio.sleep(0.005)
        say(run_id, 2)
        for stream in (one, two):
            assert kinds(await take(stream, 1)) == ["reset"]
        say(run_id, 3)
        for stream in (one, two):
            assert steps(await take(stream, 1)) == [3]


async def test_a_wipe_is_noticed_though_nothing_follows_it(wire, run_id, monkeypatch) -> None:
    monkeypatch.setattr(listening, "PING_S", 0.2)
    say(run_id, 1)
    async with aclosing(follow(run_id)) as stream:
        await take(stream, 1)
        wire.client.flushall()
        told = [await anext(stream)]
        while told[-1][1] == "ping" and len(told) < 5:
            told.append(await anext(stream))
    assert told[-1][:2] == (listening.START, "reset")


async def test_the_others_go_on_when_one_is_cancelled_and_the_last_one_takes_the_reader_along(wire, run_id) -> None:
    before, tasks = len(wire.client.client_list()), asyncio.all_tasks()

    async def read() -> None:
        async for _ in news.follow(run_id):
            ready.release()

    ready = asyncio.Semaphore(0)
    async with aclosing(follow(run_id)) as stream:
        await take(stream, 1)
        readers = [asyncio.create_task(read()) for _ in range(5)]
        for _ in readers:
            await ready.acquire()
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers, timeout=1)
        assert all(reader.cancelled() for reader in readers)
        say(run_id, 1)
        assert steps(await take(stream, 1)) == [1]
    await asyncio.sleep(0.1)
    assert len(wire.client.client_list()) <= before + 1  # the publisher's
    assert asyncio.all_tasks() == tasks and not listening._hubs


async def test_silent_streams_are_not_asked_after(wire, run_id) -> None:
    async with aclosing(follow(run_id)) as stream:
        await take(stream, 1)
        await asyncio.sleep(0.1)
        before = wire.client.info("commandstats")
        await asyncio.sleep(1)
        after = wire.client.info("commandstats")
    assert {name for name in after if after[name]["calls"] != before.get(name, {"calls": 0})["calls"]} <= {
        "cmdstat_info"
    }
