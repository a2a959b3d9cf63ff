"""The look-up before points are added to a run: a live run asks for it twice a second, so it is one cheap query."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import QuerySet

from webapp.accounts.models import Project, Role, User
from webapp.accounts.prepared import Prepared
from webapp.accounts.roles import role_column
from webapp.runs.models import Run
from webapp.runs.queries import visible

WIDE = frozenset({"spec", "tags", "facts", "provenance", "result"})
COLUMNS = [field.attname for field in Run._meta.concrete_fields if field.attname not in WIDE]


def fed(user: User, run_id: int) -> tuple[Run, Role | None] | None:
    """A run that an active person can read, and the role in its project. Of the run, the wide columns are deferred."""
    found = _OF_ALL.first(run_id) if user.is_superuser else _OF_MEMBER.first(user.pk, run_id)
    if found is None:
        return None
    *columns, slug, role = found
    run = Run.from_db(connection.alias, COLUMNS, columns)
    run.project = Project.from_db(connection.alias, ["id", "slug"], [run.project_id, slug])
    return run, Role(role) if role else None


def _fed(user: User, run_id: int) -> QuerySet[Run, Any]:
    runs = visible(user).filter(pk=run_id).annotate(role=role_column(user))
    return runs.order_by().values_list(*COLUMNS, "project__slug", "role")


_OF_MEMBER = Prepared(lambda user_id, run_id: _fed(User(pk=user_id), run_id), -1, -2)
_OF_ALL = Prepared(lambda run_id: _fed(User(is_superuser=True), run_id), -2)
