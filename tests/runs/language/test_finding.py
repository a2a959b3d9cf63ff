"""What queries find: each against the plain Python of what it says."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from tests.runs import scene
from webapp.accounts import actions as accounts
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs import actions
from webapp.runs.errors import Invalid
from webapp.runs.language import BadQuery
from webapp.runs.models import Run
from webapp.runs.tables import table

pytestmark = pytest.mark.django_db


def found(q: str) -> list[str]:
    return sorted(table(scene.person(), q=q).values_list("name", flat=True))


def measure(run: Run, name: str, *values: float) -> None:
    store.append(run.pk, {name: Points.of(range(len(values)), values, [1.0] * len(values))})


@pytest.fixture
def runs() -> dict[str, Run]:
    """Four runs that differ in what the queries below look at."""
    base = scene.submit(name="base", tags=["ladder-3", "rung-1"])
    made = {
        "base": base,
        "lora small": scene.submit(name="lora small", spec=scene.finetune_of(base), tags=["ladder-3", "rung-2"]),
        "LoRA large": scene.submit(
            name="LoRA large", user=scene_editor(), spec={**scene.finetune_of(base), "seed": 7}, queue="big", priority=5
        ),
        "50% off": scene.submit(name="50% off", changes={"steps": 250}),
    }
    measure(made["base"], "eval/loss", 3.0, 1.0, 1.5)
    measure(made["lora small"], "eval/loss", 2.5, 2.5)
    measure(made["LoRA large"], "eval/loss", 9.0, math.nan)
    measure(made["base"], "a.b", 4.0)
    return made


def scene_editor():
    ann = accounts.create_user("ann")
    accounts.set_member(scene.project(), ann, "editor")
    return ann


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ('metrics."eval/loss" < 2', ["base"]),
        ("metrics.eval/loss < 2", ["base"]),
        ('metrics."eval/loss" <= 1.5', ["base"]),
        ('metrics."eval/loss" > 1', ["base", "lora small"]),  # NaN is above nothing
        ('metrics."eval/loss" != 1.5', ["LoRA large", "lora small"]),  # and equal to nothing, so it differs
        ('metrics."eval/loss" = nan', ["LoRA large"]),
        ('metrics."eval/loss" in (1.5, 2.5)', ["base", "lora small"]),
        ('metrics."eval/loss" not in (1.5)', ["LoRA large", "lora small"]),
        ('not metrics."eval/loss" < 2', ["50% off", "LoRA large", "lora small"]),
        ('metrics."eval/loss" is null', ["50% off"]),
        ('metrics."eval/loss" is not null', ["LoRA large", "base", "lora small"]),
        ('metrics."eval/loss".min = 1', ["base"]),
        ('metrics."eval/loss".MAX >= 3', ["LoRA large", "base"]),
        ('metrics."eval/loss".mean < 2', ["base"]),
        ('metrics."eval/loss".last = 2.5', ["lora small"]),
        ('metrics."eval/loss".first = 9', ["LoRA large"]),
        ('metrics."eval/loss".count = 3', ["base"]),
        ('metrics."a.b" = 4', ["base"]),
        ("metrics.a.b = 4", ["base"]),
        ("metrics.nothing < 1e300", []),
        ("metrics.eval/loss < inf", ["base", "lora small"]),
        ("params.method = 'lora'", ["LoRA large", "lora small"]),
        ("params.method.name like 'lo%'", ["LoRA large", "lora small"]),
        ("params.method.rank = 8", ["LoRA large", "lora small"]),
        ("params.method.rank > 8", []),
        ("params.method.rank = '8'", ["LoRA large", "lora small"]),
        ("params.seed in (7, 8)", ["LoRA large"]),
        ("params.steps >= 250", ["50% off"]),
        ("params.model.run is not null", ["LoRA large", "lora small"]),
        ("params.method != 'full'", ["LoRA large", "lora small"]),
        ("params.no.such.path = 1", []),
        ("not params.no.such.path = 1", ["50% off", "LoRA large", "base", "lora small"]),
        ("tags = 'ladder-3'", ["base", "lora small"]),
        ("tags != 'rung-1'", ["50% off", "LoRA large", "lora small"]),
        ("tags in ('rung-1', 'rung-2')", ["base", "lora small"]),
        ("tags not in ('rung-1')", ["50% off", "LoRA large", "lora small"]),
        ("tags like 'RUNG-%'", []),
        ("tags ilike 'RUNG-%'", ["base", "lora small"]),
        ("tags is null", ["50% off", "LoRA large"]),
        ("name like '%lora%'", ["lora small"]),
        ("name ilike '%lora%'", ["LoRA large", "lora small"]),
        ("name not like '%o%'", ["base"]),
        (r"name like '%\%%'", ["50% off"]),
        ("name = \"base\" or name = 'lora small'", ["base", "lora small"]),
        ("user = 'ann'", ["LoRA large"]),
        ("user != 'ann'", ["50% off", "base", "lora small"]),
        ("queue = big and priority >= 5", ["LoRA large"]),
        ("kind = finetune", ["LoRA large", "lora small"]),
        ("status in (queued, 'running')", ["50% off", "LoRA large", "base", "lora small"]),
        ("status = 'ended'", []),
        ("status not in (waiting)", []),
        ("project = 'alpha'", ["50% off", "LoRA large", "base", "lora small"]),
        ("id < 2.5e30 and id > -1", ["50% off", "LoRA large", "base", "lora small"]),
        ("id = 99999999999999999999999999999", []),
        ("duration > 1h", []),
        ("created > '2020-01-01' and created < '9999-12-31'", ["50% off", "LoRA large", "base", "lora small"]),
        ("started is null", ["50% off", "LoRA large", "base", "lora small"]),
        ("STATUS = queued AND NOT (tags = 'ladder-3' OR user = 'ann')", ["50% off"]),
        ("name = 'o''x'", []),
    ],
)
def test_what_is_found(runs: dict[str, Run], q: str, expected: list[str]) -> None:
    assert found(q) == expected


def test_durations_and_times() -> None:
    now = timezone.now()
    for name, seconds in (("short", 50), ("long", 5400)):
        run = scene.submit(name=name)
        Run.objects.filter(pk=run.pk).update(started_at=now - timedelta(days=1), ended_at=F("queued_at"))
        Run.objects.filter(pk=run.pk).update(ended_at=now - timedelta(days=1) + timedelta(seconds=seconds))
    running = scene.submit(name="running")
    Run.objects.filter(pk=running.pk).update(started_at=now - timedelta(hours=3))
    Run.objects.filter(name="long").update(created_at=datetime(2026, 11, 1, 12, 30, tzinfo=UTC))
    assert found("duration > 3600") == found("duration > 1h") == ["long", "running"]
    assert found("duration = 1h30m") == ["long"]
    assert found("duration <= 50s") == ["short"]
    assert found("duration < 2h and not duration < 1m") == ["long"]
    assert found("created = '2026-11-01'") == found("created = '2026-11-01 12:30'") == ["long"]
    assert found("created < '2026-11-01'") == []
    assert found("created <= '2026-11-01T13:30:00+01:00'") == ["long"]
    assert found("ended is null") == ["running"]


def test_a_query_finds_nothing_that_is_not_theirs_to_see() -> None:
    stranger = accounts.create_user("stranger")
    scene.submit(scene.project("Theirs", stranger), user=stranger, name="theirs")
    deleted = scene.submit(name="deleted")
    actions.delete(deleted)
    assert found("not name = 'x'") == found("id > 0 or id > 0") == []


@pytest.mark.parametrize(
    ("q", "position", "expected"),
    [
        ("statu = 'x'", 0, r"a column \(id, name, .*metrics\.<name>"),
        ("status = 'happy'", 9, "one of queued, "),
        ("status = ", 9, "a value at character 10, but the query ends there"),
        ("metrics.loss < 'x'", 15, "a number at character 16, not \"'x'\""),
        ("metrics.loss < 1e999", 15, "a value"),
        ("metrics.loss", 12, "=, !=, <"),
        ("metrics. < 2", 8, "a name after the dot"),
        ("metrics.'a' < 2", 8, "a name after the dot"),
        ('metrics."a < 2', 14, '" at the end of the name'),
        (f"metrics.{'x' * 251} < 2", 8, "a metric's name of 1 to 250"),
        ("name = 'x", 9, "' at the end of the text"),
        ("name = 3", 7, "a text in quotes"),
        ("name < 'x'", 7, "no value after <: name is compared by"),
        (r"name like 'x\'", 10, r"doesn't end in a single"),
        ("name = 'a' name = 'b'", 11, "and, or, or the end"),
        ("(name = 'a'", 11, r"\) or and or or"),
        ("name in ('a' 'b')", 13, r", or \)"),
        ("name not = 'x'", 9, "in, like or ilike"),
        ("name is not 'x' = 'y'", 12, "null"),
        ("created > 'yesterday'", 10, "a time such as"),
        ("created > '2026-13-01'", 10, "a time such as"),
        ("created > 7", 10, "a time such as"),
        ("duration > 'long'", 11, "seconds or a duration"),
        ("priority > 1h", 11, "a number"),
        ("params.x > 'a'", 11, "a number after >"),
        ("params.x = nan", 11, "a finite number"),
        ("params.x = 1h", 11, "a number or a text"),
        ("params = 3", 6, r"\. and a name after params"),
        ("name.x = 3", 4, "no dot after name"),
        ("name = 'a\x00'", 9, "a character of text"),
        ("name = 'a\ud800'", 9, "a character of text"),
        ("(" * 40 + "name = 'x'", 30, "at most 30 parentheses"),
        ("not " * 3000 + "name = 'x'", 2000, "at most 2000 characters"),
        (" or ".join(["id = 1"] * 51), 500, "at most 50 comparisons"),
    ],
)
def test_an_error_points_at_the_character(q: str, position: int, expected: str) -> None:
    with pytest.raises(BadQuery, match=expected) as caught:
        table(scene.person(), q=q)
    assert caught.value.position == position
    assert caught.value.errors[0]["loc"] == ["q"]
    *_, line, caret = caught.value.errors[0]["msg"].split("\n")
    assert caret == " " * (len(caret) - 1) + "^"
    shown = q[position : position + 10].replace("\x00", " ").replace("\ud800", " ")
    assert line[len(caret) - 1 :][:10] == shown


def test_bad_queries_are_invalid_input() -> None:
    assert issubclass(BadQuery, Invalid)


@pytest.mark.parametrize(
    "q",
    ["name = '''; DROP TABLE runs; --'", 'metrics."x"" OR 1=1 --" < 2', "params.\"a'b\".\"c}\" = 'x%s'",
     "tags = '{a,b}'", "tags like '%(x)s%%'", "name ilike 'x'' OR ''1''=''1'",
     "params.\"x\\\" = 1", "params.\"{a,b}\" = '\\'"],
)  # fmt: skip
def test_text_of_a_query_reaches_the_database_as_parameters_only(q: str, runs: dict[str, Run]) -> None:
    sql, parameters = table(scene.person(), q=q).query.sql_with_params()
    assert "DROP" not in sql and "1=1" not in sql and "''" not in sql and "x%" not in sql
    assert parameters
    assert found(q) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM runs")
        assert cursor.fetchone() == (4,)


@pytest.mark.parametrize(
    "q",
    ["lora", "rank-8 night", "lr=0.1", "a->b", "name", "in (x)", "status", "not", "status in progress", "it's < x'"],
)
def test_plain_words_stay_words(q: str) -> None:
    scene.submit(name=f"x {q} y")
    scene.submit(name="other")
    assert found(q) == [f"x {q} y"]
