"""What the API answers when it can't do what was asked: always {"detail": sentence, "errors": [{"loc", "msg"}]}."""

# ruff: noqa: N818 - an answer reads better by its name alone
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Error = dict[str, Any]  # {"loc": ["spec", "steps"], "msg": "..."}


class ApiError(Exception):
    """An answer with a status of its own; `errors` names the fields when there are any to name."""

    status = 400

    def __init__(self, detail: str, errors: Sequence[Error] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)


class BadRequest(ApiError):
    status = 400


class Forbidden(ApiError):
    status = 403


class NotFound(ApiError):
    status = 404


class Conflict(ApiError):
    status = 409


class TooLarge(ApiError):
    status = 413


class Unsupported(ApiError):
    """The body comes in a form that the address does not read."""

    status = 415


class Unavailable(ApiError):
    """Nothing is wrong with the request: the same one may go through in a moment."""

    status = 503


class Invalid(ApiError):
    """Well-formed, but breaks a rule. `detail` repeats the first error with its field's name."""

    status = 422

    def __init__(self, errors: Sequence[Error]) -> None:
        super().__init__(first_sentence(errors), errors)


def first_sentence(errors: Sequence[Error]) -> str:
    first = errors[0]
    field = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"])
    return f"{field}: {message}" if field and not message.startswith((f"{field} ", f"{field}: ")) else message
