"""The tick repairs what a lost ticket or a wiped broker broke, and sends no more tickets than slots can use."""

from __future__ import annotations

import pytest
import redis
from django.conf import settings

from tests.runs import scene
from webapp.runs import actions
from webapp.runs.models import Worker
from workers import beat, dispatch
from workers.app import app

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "queue:default"


@pytest.fixture
def broker():
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushall()
    yield client
    client.flushall()


def submitted(count: int, broker, **fields):
    """Queued runs whose tickets are lost."""
    runs = [scene.submit(**fields) for _ in range(count)]
    broker.flushall()
    return runs


def test_lost_tickets_are_sent_again_as_many_as_slots_are_free(broker):
    scene.worker("a", slots=2)
    scene.worker("b", slots=1)
    submitted(5, broker)
    dispatch.tick()
    assert broker.llen(KEY) == 3
    dispatch.tick()
    assert broker.llen(KEY) == 3


def test_no_more_tickets_than_runs_wait(broker):
    scene.worker("a", slots=4)
    submitted(2, broker)
    dispatch.tick()
    assert broker.llen(KEY) == 2


def test_a_slot_that_is_taken_gets_no_ticket(broker):
    scene.worker("a", slots=2)
    submitted(4, broker)
    scene.claim(free=2)
    dispatch.tick()
    assert broker.llen(KEY) == 1


def test_nobody_is_woken_for_a_paused_queue_or_by_a_draining_worker(broker):
    worker = scene.worker("a", slots=2)
    submitted(2, broker)
    actions.pause_queue("default")
    dispatch.tick()
    assert broker.llen(KEY) == 0
    actions.resume_queue("default")
    actions.drain(worker)
    broker.flushall()
    dispatch.tick()
    assert broker.llen(KEY) == 0


def test_a_run_that_waits_for_the_model_of_another_wakes_nobody(broker, tmp_path):
    scene.worker("a", slots=2)
    first = scene.submit()
    scene.submit(spec=scene.finetune_of(first))
    broker.flushall()
    dispatch.tick()
    assert broker.llen(KEY) == 1


def test_a_ticket_goes_to_the_queue_where_a_run_waits(broker):
    scene.worker("a", slots=1, queues=("default", "big"))
    submitted(1, broker, queue="big")
    dispatch.tick()
    assert (broker.llen("queue:big"), broker.llen(KEY)) == (1, 0)


def test_a_tick_bears_a_broker_that_is_away(broker, monkeypatch, tmp_path):
    scene.worker("a")
    submitted(1, broker)
    monkeypatch.setattr(dispatch, "_client", redis.Redis(unix_socket_path=str(tmp_path / "none.sock"), retry=None))
    dispatch.calmly_tick()
    monkeypatch.setattr(dispatch, "_client", None)
    dispatch.calmly_tick()
    assert broker.llen(KEY) == 1


def test_the_scheduler_ticks_and_survives_a_database_that_is_away(broker, monkeypatch, tmp_path):
    from django.db import connection

    scene.worker("a")
    submitted(1, broker)
    connection.close()
    host = connection.settings_dict["HOST"]
    monkeypatch.setitem(connection.settings_dict, "HOST", str(tmp_path))
    scheduler = beat.Scheduler(app=app)
    assert 0 < scheduler.tick() <= dispatch.TICK_S
    assert broker.llen(KEY) == 0
    monkeypatch.setitem(connection.settings_dict, "HOST", host)
    scheduler._next_tick = 0.0
    assert 0 <= scheduler.tick() <= dispatch.TICK_S
    assert broker.llen(KEY) == 1
    assert Worker.objects.count() == 1
