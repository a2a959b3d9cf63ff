"""Who asks: a bearer token, or the session of a signed-in browser (with its CSRF token where something changes)."""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from webapp.accounts.models import User
from webapp.accounts.queries import user_of_token
from webapp.api.errors import Forbidden, NotFound

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class BearerToken(HttpBearer):
    """`Authorization: Bearer hone_...`; a token that is wrong, revoked or expired is nobody's."""

    openapi_description = "A token from the page Tokens, or the one in $HONE_HOME/admin-token."

    def __call__(self, request: HttpRequest) -> User | None:
        refuse_nul(request)
        return cast(User | None, super().__call__(request))

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        return user_of_token(token)


class Session(APIKeyCookie):
    """The session cookie. Not looked at when an Authorization header is there, so a bad token never falls back."""

    param_name = settings.SESSION_COOKIE_NAME
    openapi_description = "The cookie of a signed-in browser; POST, PATCH and DELETE also need X-CSRFToken."

    def __call__(self, request: HttpRequest) -> User | None:
        if "Authorization" in request.headers or not request.user.is_authenticated:
            return None
        if request.method not in SAFE_METHODS and check_csrf(request):
            raise Forbidden("The CSRF token is missing or wrong: send the cookie csrftoken as the header X-CSRFToken.")
        return request.user

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        raise NotImplementedError("Session answers in __call__.")


def user_of(request: HttpRequest) -> User:
    """The person behind an authenticated request."""
    return cast(User, request.auth)  # type: ignore[attr-defined]


def refuse_nul(request: HttpRequest) -> None:
    """No address holds a NUL character, and Postgres would refuse to look one up."""
    if "\x00" in request.path_info:
        raise NotFound("Not found.")


AUTH = [BearerToken(), Session()]
