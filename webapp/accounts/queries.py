"""Every read of accounts."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Now

from webapp.accounts import secrets
from webapp.accounts.models import ApiToken, Membership, Project, User
from webapp.accounts.roles import RISING

LAST_USED_EVERY = timedelta(minutes=1)  # a busy client costs one write a minute, not one a request


def user_of_token(plain: str) -> User | None:
    """The active person whose unexpired token this is, or None. Notes the use at most once a minute."""
    if not plain.startswith(secrets.TOKEN_PREFIX):
        return None
    living = Q(expires_at=None) | Q(expires_at__gt=Now())
    tokens = ApiToken.objects.filter(living, digest=secrets.digest(plain), user__is_active=True)
    token = tokens.select_related("user").first()
    if token is None:
        return None
    _note_use(token)
    return token.user


def _note_use(token: ApiToken) -> None:
    stale = Q(last_used_at=None) | Q(last_used_at__lt=Now() - LAST_USED_EVERY)
    ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=Now())


def members(project: Project) -> QuerySet[Membership]:
    """Owners, then editors, then viewers, each by name."""
    places = [When(role=role, then=Value(place)) for place, role in enumerate(reversed(RISING))]
    ranks = Case(*places, output_field=IntegerField())
    return project.memberships.select_related("user").annotate(place=ranks).order_by("place", "user__username")


def tokens_of(user: User) -> QuerySet[ApiToken]:
    """A person's tokens, newest first."""
    return ApiToken.objects.filter(user=user)
