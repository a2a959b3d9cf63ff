"""API tokens: shown once, kept as a digest, revocable, expiring."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from webapp.accounts import actions
from webapp.accounts.errors import Invalid
from webapp.accounts.models import ApiToken
from webapp.accounts.queries import tokens_of, user_of_token

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada():
    return actions.create_user("ada")


def test_only_the_digest_of_a_token_is_kept(ada) -> None:
    token, plain = actions.create_token(ada, "laptop")
    assert re.fullmatch(r"hone_[A-Za-z0-9_-]{43}", plain)
    row = ApiToken.objects.values().get(pk=token.pk)
    assert row["digest"] == hashlib.sha256(plain.encode()).hexdigest()
    assert not any(plain in str(value) for value in row.values())
    assert plain.startswith(row["prefix"]) and len(row["prefix"]) == 12


def test_a_token_tells_whose_it_is_until_it_is_revoked(ada) -> None:
    token, plain = actions.create_token(ada, "laptop")
    assert user_of_token(plain) == ada
    assert list(tokens_of(ada)) == [token]
    actions.revoke_token(token)
    assert user_of_token(plain) is None


@pytest.mark.parametrize("wrong", ["", "hone_", "hone_" + "A" * 43, "Bearer x", "hone_\x00", "hone_é"])
def test_what_is_no_token_belongs_to_nobody(ada, wrong) -> None:
    actions.create_token(ada, "laptop")
    assert user_of_token(wrong) is None


def test_an_expired_token_belongs_to_nobody(ada) -> None:
    token, plain = actions.create_token(ada, "laptop", timezone.now() + timedelta(hours=1))
    assert user_of_token(plain) == ada
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert user_of_token(plain) is None


def test_a_token_of_a_deactivated_person_belongs_to_nobody(ada) -> None:
    _, plain = actions.create_token(ada, "laptop")
    ada.is_active = False
    ada.save()
    assert user_of_token(plain) is None


def test_a_token_can_not_be_born_expired_or_nameless(ada) -> None:
    with pytest.raises(Invalid, match="expires_at must lie in the future"):
        actions.create_token(ada, "x", timezone.now() - timedelta(seconds=1))
    with pytest.raises(Invalid, match="name must have"):
        actions.create_token(ada, "  ")
    assert not ApiToken.objects.exists()


def test_the_last_use_is_noted_at_most_once_a_minute(ada, django_assert_num_queries) -> None:
    token, plain = actions.create_token(ada, "laptop")
    user_of_token(plain)
    token.refresh_from_db()
    first = token.last_used_at
    assert first is not None and abs(timezone.now() - first) < timedelta(seconds=10)
    user_of_token(plain)
    token.refresh_from_db()
    assert token.last_used_at == first
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=timezone.now() - timedelta(seconds=61))
    user_of_token(plain)
    token.refresh_from_db()
    assert token.last_used_at > first
