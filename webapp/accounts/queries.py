"""Every read of accounts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Now

from webapp.accounts import secrets
from webapp.accounts.models import ApiToken, Membership, Project, User
from webapp.accounts.prepared import Prepared
from webapp.accounts.roles import RISING

LAST_USED_EVERY = timedelta(minutes=1)  # a busy client costs one write a minute, not one a request


def user_of_token(plain: str) -> User | None:
    """The active person whose unexpired token this is, or None. Notes the use at most once a minute."""
    if not plain.startswith(secrets.TOKEN_PREFIX):
        return None
    found = _TOKEN.first(secrets.digest(plain))
    if found is None:
        return None
    number, is_stale, *columns = found
    if is_stale:
        ApiToken.objects.filter(_STALE, pk=number).update(last_used_at=Now())
    return User.from_db(connection.alias, _USER_COLUMNS, columns)


def _tokens(digest: str) -> QuerySet[ApiToken, Any]:
    living = Q(expires_at=None) | Q(expires_at__gt=Now())
    tokens = ApiToken.objects.filter(living, digest=digest, user__is_active=True).annotate(is_stale=_STALE)
    return tokens.order_by().values_list("pk", "is_stale", *(f"user__{column}" for column in _USER_COLUMNS))


_STALE = Q(last_used_at=None) | Q(last_used_at__lt=Now() - LAST_USED_EVERY)
_USER_COLUMNS = [field.attname for field in User._meta.concrete_fields]
_TOKEN = Prepared(_tokens, "digest")


def members(project: Project) -> QuerySet[Membership]:
    """Owners, then editors, then viewers, each by name."""
    places = [When(role=role, then=Value(place)) for place, role in enumerate(reversed(RISING))]
    ranks = Case(*places, output_field=IntegerField())
    return project.memberships.select_related("user").annotate(place=ranks).order_by("place", "user__username")


def tokens_of(user: User) -> QuerySet[ApiToken]:
    """A person's tokens, newest first."""
    return ApiToken.objects.filter(user=user)
