"""The look-up before points are added to a run or read from it: asked so often that it is one cheap query."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from webapp.accounts.models import Project, Role, User
from webapp.accounts.prepared import Prepared
from webapp.accounts.roles import role_column
from webapp.runs.models import Run
from webapp.runs.queries import visible

WIDE = frozenset({"spec", "tags", "facts", "provenance", "result"})
COLUMNS = [field.attname for field in Run._meta.concrete_fields if field.attname not in WIDE]


def fed(user: User, run_id: int) -> tuple[Run, Role | None] | None:
    """A run that an active person can read, and the role in its project. Of the run, the wide columns are deferred."""
    return fed_all(user, [run_id]).get(run_id)


def fed_all(user: User, run_ids: Collection[int]) -> dict[int, tuple[Run, Role | None]]:
    """The same for several, by their ids. One query."""
    ids = f"{{{','.join(map(str, run_ids))}}}"
    rows = _OF_ALL.rows(ids) if user.is_superuser else _OF_MEMBER.rows(user.pk, ids)
    return {run.pk: (run, Role(role) if role else None) for run, role in map(_run, rows)}


def _run(row: tuple[Any, ...]) -> tuple[Run, str | None]:
    *columns, slug, role = row
    run = Run.from_db(connection.alias, COLUMNS, columns)
    run.project = Project.from_db(connection.alias, ["id", "slug"], [run.project_id, slug])
    return run, role


def _fed(user: User) -> QuerySet[Run, Any]:
    wanted = RawSQL("SELECT unnest(%s::bigint[])", [IDS])
    runs = visible(user).filter(pk__in=wanted).annotate(role=role_column(user))
    return runs.order_by().values_list(*COLUMNS, "project__slug", "role")


IDS = "{-2}"
_OF_MEMBER = Prepared(lambda user_id, ids: _fed(User(pk=user_id)), -1, IDS)
_OF_ALL = Prepared(lambda ids: _fed(User(is_superuser=True)), IDS)
