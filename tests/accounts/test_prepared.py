"""A query that is built once gives what the ORM gives, for every value, and is never the same to all."""

from __future__ import annotations

import pytest
from django.db.models import Q

from webapp.accounts import actions
from webapp.accounts.models import User
from webapp.accounts.prepared import Prepared

pytestmark = pytest.mark.django_db


def test_each_call_gets_the_row_of_its_own_values() -> None:
    users = [User.objects.create(username=name) for name in ("ada", "b%s", "c'; DROP TABLE users; --")]
    found = Prepared(
        lambda name, number: User.objects.filter(Q(username=name) | Q(pk=number)).order_by("pk").values_list("pk"),
        "name",
        -1,
    )
    assert [found.first(user.username, 0) for user in users] == [(user.pk,) for user in users]
    assert [found.first("nobody", user.pk) for user in users] == [(user.pk,) for user in users]
    assert found.first("nobody", 0) is None


def test_it_costs_one_query_and_is_built_once(django_assert_num_queries) -> None:
    built = []

    def build(number: int):
        built.append(number)
        return User.objects.filter(pk=number).values_list("username")

    user, found = actions.create_user("ada"), Prepared(build, -1)
    for _ in range(3):
        with django_assert_num_queries(1):
            assert found.first(user.pk) == ("ada",)
    assert built == [-1]


def test_a_query_that_does_not_use_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        Prepared(lambda number: User.objects.values_list("pk"), -1).first(3)
