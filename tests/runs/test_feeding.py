"""The small look-up before points are added says the same as the rules of access, and costs one query."""

from __future__ import annotations

import pytest

from webapp.accounts import actions as accounts
from webapp.accounts.roles import role_of
from webapp.runs import actions
from webapp.runs.feeding import COLUMNS, fed
from webapp.runs.models import Run
from webapp.runs.queries import visible

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    owner = accounts.create_user("owner")
    project = accounts.create_project(owner, "Alpha")
    accounts.create_project(owner, "Beta")
    return actions.create_external(project=project, user=owner, name="outside")


@pytest.mark.parametrize("who", ["owner", "editor", "viewer", "stranger", "admin"])
def test_it_finds_what_is_visible_with_the_role_that_everybody_else_sees(run, who, django_assert_num_queries) -> None:
    user = run.created_by if who == "owner" else accounts.create_user(who, is_superuser=who == "admin")
    if who in ("editor", "viewer"):
        accounts.set_member(run.project, user, who)
    with django_assert_num_queries(1):
        found = fed(user, run.pk)
    if not visible(user).filter(pk=run.pk).exists():
        assert found is None and who == "stranger"
        return
    assert found is not None
    assert found[1] == role_of(user, run.project)
    assert {name: getattr(found[0], name) for name in COLUMNS} == {name: getattr(run, name) for name in COLUMNS}
    assert (found[0].project.slug, found[0].spec) == (run.project.slug, run.spec)


def test_a_deleted_or_unknown_run_is_not_found(run) -> None:
    assert fed(run.created_by, run.pk + 1) is None
    actions.finish_external(run, "succeeded")
    actions.delete(run)
    assert fed(run.created_by, run.pk) is None
