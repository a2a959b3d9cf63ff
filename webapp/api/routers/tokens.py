"""One's own API tokens. Nobody sees another person's."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Status

from webapp.accounts import actions, queries
from webapp.accounts.models import ApiToken
from webapp.api.access import LARGEST_ID
from webapp.api.auth import user_of
from webapp.api.errors import NotFound
from webapp.api.schemas.system import NewToken, TokenInput, TokenList, TokenOutput

router = Router()


@router.get("", response=TokenList)
def list_tokens(request: HttpRequest) -> TokenList:
    """Your tokens, newest first; what they are is kept only as a hash."""
    return TokenList(items=[TokenOutput(**_fields(token)) for token in queries.tokens_of(user_of(request))])


@router.post("", response={201: NewToken})
def create_token(request: HttpRequest, body: TokenInput) -> Status[NewToken]:
    """The answer is the only place that ever shows the token."""
    token, plain = actions.create_token(user_of(request), body.name, body.expires_at)
    return Status(201, NewToken(token=plain, **_fields(token)))


@router.delete("/{int:token_id}", response={204: None})
def revoke_token(request: HttpRequest, token_id: int) -> Status[None]:
    """Takes effect at once."""
    token = queries.tokens_of(user_of(request)).filter(pk=token_id).first() if token_id <= LARGEST_ID else None
    if token is None:
        raise NotFound(f"You have no token {token_id}.")
    actions.revoke_token(token)
    return Status(204, None)


def _fields(token: ApiToken) -> dict[str, object]:
    names = ("id", "name", "prefix", "created_at", "last_used_at", "expires_at")
    return {name: getattr(token, name) for name in names}
