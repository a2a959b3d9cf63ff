"""Tickets reach real Redis in Celery's format, after the commit, and a dead broker stops nobody."""

from __future__ import annotations

import json
import time

import pytest
import redis
from django.conf import settings as configured
from django.db import transaction

from tests.runs import scene
from webapp.runs import actions, tickets
from webapp.runs.models import Run
from webapp.runs.states import Status


@pytest.fixture
def broker():
    client = redis.Redis.from_url(configured.REDIS_URL)
    client.delete("queue:default", "queue:other")
    yield client
    client.delete("queue:default", "queue:other")


@pytest.fixture
def dead_broker(settings, tmp_path):
    settings.CELERY_BROKER_URL = f"redis+socket://{tmp_path}/nothing.sock"
    tickets._sender.cache_clear()
    yield
    tickets._sender.cache_clear()


def test_a_ticket_is_a_celery_task_without_arguments(broker) -> None:
    assert tickets.send("default", 2) is True
    assert broker.llen("queue:default") == 2
    message = json.loads(broker.lpop("queue:default"))
    assert message["headers"]["task"] == "hone.work"
    assert (message["headers"]["argsrepr"], message["headers"]["kwargsrepr"]) == ("()", "{}")


@pytest.mark.django_db(transaction=True)
def test_the_ticket_of_a_run_is_sent_when_the_run_can_be_seen(broker) -> None:
    with transaction.atomic():
        run = scene.submit()
        assert broker.llen("queue:default") == 0
    assert broker.llen("queue:default") == 1
    actions.cancel(run)
    actions.requeue(run)
    assert broker.llen("queue:default") == 2
    actions.pause(run)
    actions.resume(run)
    assert broker.llen("queue:default") == 3


@pytest.mark.django_db(transaction=True)
def test_a_submission_that_is_rolled_back_sends_no_ticket(broker) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        scene.submit()
        raise RuntimeError
    assert broker.llen("queue:default") == 0


@pytest.mark.django_db(transaction=True)
def test_a_resumed_queue_wakes_as_many_as_wait(broker) -> None:
    for _ in range(3):
        scene.submit()
    actions.pause_queue("default")
    broker.delete("queue:default")
    actions.resume_queue("default")
    assert broker.llen("queue:default") == 3


@pytest.mark.django_db(transaction=True)
def test_a_dead_broker_does_not_fail_a_submission_and_costs_little_time(dead_broker) -> None:
    started = time.monotonic()
    run = scene.submit()
    assert time.monotonic() - started < 2.5
    assert Run.objects.get(pk=run.pk).status == Status.QUEUED
    assert tickets.send("default") is False
