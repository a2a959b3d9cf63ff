"""Tables of runs: filters, sorting and pages."""

from __future__ import annotations

import pytest
from django.db.models import F, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runs import scene
from webapp.accounts import actions as accounts
from webapp.accounts.models import User
from webapp.runs import actions
from webapp.runs.errors import Invalid
from webapp.runs.models import Run, RunWords
from webapp.runs.states import Status
from webapp.runs.tables import page, table

pytestmark = pytest.mark.django_db


def names(runs) -> list[str]:
    return sorted(run.name for run in runs)


def read_through(runs, sort: str, limit: int, **fields) -> list[Run]:
    """All pages, one after the other."""
    found, cursor = [], ""
    while True:
        rows, following = page(runs, sort=sort, cursor=cursor, limit=limit, **fields)
        found += rows
        assert len(rows) <= limit
        if following is None:
            return found
        assert len(rows) == limit
        cursor = following


def test_people_see_the_runs_of_their_projects_only() -> None:
    stranger = accounts.create_user("stranger")
    scene.submit(name="mine")
    scene.submit(scene.project("Theirs", stranger), user=stranger, name="theirs")
    assert names(table(scene.person())) == ["mine"]
    assert names(table(stranger)) == ["theirs"]
    assert names(table(accounts.ensure_admin())) == ["mine", "theirs"]
    assert names(table(accounts.create_user("nobody"))) == []


def test_a_deleted_run_is_not_listed() -> None:
    actions.delete(scene.submit())
    assert names(table(scene.person())) == []


def test_words_are_looked_for_in_name_tags_and_kind_and_all_must_match() -> None:
    scene.submit(name="Llama small", tags=["baseline"])
    scene.submit(name="llama large", tags=["rank-8", "night"])
    run = scene.submit(name="vit")
    user = scene.person()
    assert names(table(user, q="LLAMA")) == ["Llama small", "llama large"]
    assert names(table(user, q="llama night")) == ["llama large"]
    assert names(table(user, q="rank")) == ["llama large"]
    assert names(table(user, q=f"#{run.id}")) == names(table(user, q=str(run.id))) == ["vit"]
    assert len(table(user, q="pretrain")) == 3
    assert names(table(user, q="nothing")) == []


@pytest.mark.parametrize("q", ["%", "_", "\\", "'", '"; DROP TABLE runs', "\x00", "#", "9" * 30, "²"])
def test_a_search_for_odd_characters_finds_only_what_contains_them(q) -> None:
    scene.submit(name="plain")
    assert names(table(scene.person(), q=q)) in ([], ["plain"] if q == "\x00" else [])


def test_a_run_is_found_by_what_it_is_called_now() -> None:
    run, user = scene.submit(name="Straße one", tags=["old"]), scene.person()
    Run.objects.filter(pk=run.pk).update(spec={"method": {"name": "dora"}})

    def finds(*words: str) -> list[bool]:
        return [table(user, q=word).exists() for word in words]

    assert finds("straße", "ONE", "old", "DoRA", run.kind.upper(), f"#{run.pk}") == [True] * 6
    assert finds("one old dora") == [True] and finds("one old lora", "STRASSE") == [False, False]
    actions.update(run, name="two", tags=["new", "newer"])
    Run.objects.filter(pk=run.pk).update(spec={"method": "plain"}, kind="other")
    assert finds("two", "new newer", "OTHER") == [True] * 3
    assert finds("one", "old", "dora", run.kind, "tw new x", "twonew") == [False] * 6
    Run.objects.filter(pk=run.pk).delete()
    assert not RunWords.objects.filter(pk=run.pk).exists()


def test_statuses_and_groups_are_filters() -> None:
    user = scene.person()
    attempt = scene.running(name="running")
    actions.cancel(scene.submit(name="cancelled"))
    scene.submit(name="queued")
    assert names(table(user, status="queued")) == ["queued"]
    assert names(table(user, status="active")) == ["running"]
    assert names(table(user, status="final")) == ["cancelled"]
    assert names(table(user, status="queued, running")) == ["queued", "running"]
    assert names(table(user, status="waiting,active,final")) == ["cancelled", "queued", "running"]
    actions.finish(attempt, Status.SUCCEEDED, result={})
    assert names(table(user, status="succeeded")) == ["running"]
    with pytest.raises(Invalid, match=r"status must be one of .* not 'happy'"):
        table(user, status="happy")


def test_all_named_tags_kinds_queues_and_projects_are_filters() -> None:
    user = scene.person()
    scene.submit(name="ab", tags=["a", "b"])
    scene.submit(name="a", tags=["a"], queue="big")
    scene.submit(scene.project("Beta"), name="beta")
    actions.create_external(project=scene.project(), user=user, name="ext")
    assert names(table(user, tag="a")) == ["a", "ab"]
    assert names(table(user, tag="a,b")) == ["ab"]
    assert names(table(user, queue="big")) == ["a"]
    assert names(table(user, kind="external")) == ["ext"]
    assert names(table(user, scene.project("Beta"))) == ["beta"]


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 3)), max_size=9),
    sort=st.sampled_from(["id", "-id", "name", "-name", "steps", "-steps", "started_at", "-started_at"]),
    limit=st.integers(1, 4),
)
def test_pages_follow_each_other_without_a_gap_or_a_double_in_the_order_of_the_whole(rows, sort, limit) -> None:
    Run.objects.all().delete()
    for name, steps in rows:
        run = scene.submit(name=name)
        Run.objects.filter(pk=run.pk).update(steps=steps, started_at=F("created_at") if steps == 1 else None)
    descending, column = sort.startswith("-"), sort.removeprefix("-")
    fields = {"expression": F("steps")} if column == "steps" else {}
    found = read_through(table(scene.person()), sort, limit, **fields)

    everything = list(Run.objects.all())
    known = [run for run in everything if getattr(run, column) is not None]
    expected = sorted(known, key=lambda run: (getattr(run, column), run.pk), reverse=descending)
    empty = [run for run in everything if getattr(run, column) is None]
    expected += sorted(empty, key=lambda run: run.pk, reverse=descending)
    assert [run.pk for run in found] == [run.pk for run in expected]


@pytest.mark.parametrize("sort", ["user", "-user"])
def test_runs_of_a_person_stand_together_and_those_of_nobody_last(sort: str) -> None:
    project = scene.project()
    for name in ("zoe", "ann", "mia"):
        accounts.create_user(name)
    people = {person.username: person for person in User.objects.all()}
    for username in ("zoe", "ann", "", "mia", "ann", "", "zoe"):
        Run.objects.filter(pk=scene.submit(project).pk).update(created_by=people.get(username))
    told = [(run.created_by.username if run.created_by else "", run.pk) for run in Run.objects.all()]
    of_somebody = sorted((one for one in told if one[0]), reverse=sort[0] == "-")
    of_nobody = sorted((one for one in told if not one[0]), reverse=sort[0] == "-")
    for limit in (1, 2, 7):
        found = read_through(table(scene.person()), sort, limit)
        assert [run.pk for run in found] == [number for _, number in of_somebody + of_nobody]


def test_a_run_that_comes_meanwhile_does_not_shift_the_next_page() -> None:
    runs = [scene.submit() for _ in range(4)]
    first = page(table(scene.person()), limit=2)
    scene.submit()
    assert first.next is not None
    second = page(table(scene.person()), limit=2, cursor=first.next)
    assert [run.pk for run in (*first.items, *second.items)] == [run.pk for run in reversed(runs)]
    assert second.next is None


def test_values_that_are_not_numbers_sort_and_page() -> None:
    from django.db.models import Case, FloatField, When

    for name in ("nan", "one", "none"):
        scene.submit(name=name)
    metric = Case(
        When(name="nan", then=Value(float("nan"))), When(name="one", then=Value(1.0)), output_field=FloatField()
    )
    assert [run.name for run in read_through(table(scene.person()), "x", 1, expression=metric)] == [
        "one",
        "nan",
        "none",
    ]


@pytest.mark.parametrize("cursor", ["x", "a.b.c", "WyItaWQiLDEsMV0", "é"])
def test_a_cursor_that_was_made_up_is_refused(cursor) -> None:
    with pytest.raises(Invalid, match="must be the `next` of an earlier page"):
        page(table(scene.person()), cursor=cursor)


def test_a_cursor_of_another_sorting_is_refused() -> None:
    scene.submit()
    scene.submit()
    cursor = page(table(scene.person()), limit=1).next
    assert cursor is not None
    with pytest.raises(Invalid, match="sorted by '-id', not 'name'"):
        page(table(scene.person()), sort="name", cursor=cursor)


@pytest.mark.parametrize(
    ("field", "value"), [("sort", "password"), ("sort", "project__name"), ("limit", 0), ("limit", 501)]
)
def test_unknown_columns_and_odd_limits_are_refused(field, value) -> None:
    with pytest.raises(Invalid, match=f"{field} must"):
        page(table(scene.person()), **{field: value})


def test_one_page_costs_one_query(django_assert_num_queries) -> None:
    user = accounts.ensure_admin()
    for _ in range(3):
        scene.submit()
    with django_assert_num_queries(1):
        assert [run.project.slug for run in page(table(user, q="pretrain")).items] == ["alpha"] * 3
