"""Which exception becomes which answer. What is not named here is a bug and stays a 500."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError

from webapp.accounts import errors as accounts
from webapp.api.errors import ApiError, BadRequest, Conflict, Invalid, NotFound, TooLarge, Unavailable
from webapp.metrics import errors as metrics
from webapp.runs import errors as runs
from webapp.sweeps import errors as sweeps

RETRY_AFTER_S = 5
logger = logging.getLogger(__name__)


def install(api: NinjaAPI) -> None:
    """Registers a handler for everything that the API expects to go wrong."""

    def reply(request: HttpRequest, error: ApiError) -> HttpResponse:
        body: dict[str, Any] = {"detail": error.detail, "errors": error.errors}
        return api.create_response(request, body, status=error.status)

    def on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
        if isinstance(error.__cause__, ApiError):  # ninja wraps what the parser raises
            return reply(request, error.__cause__)
        return api.create_response(request, {"detail": str(error), "errors": []}, status=error.status_code)

    def on_unauthenticated(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
        detail = "Sign in, or send a valid token as `Authorization: Bearer <token>`."
        response = api.create_response(request, {"detail": detail, "errors": []}, status=401)
        response["WWW-Authenticate"] = "Bearer"
        return response

    def on_database_away(request: HttpRequest, error: OperationalError) -> HttpResponse:
        logger.error("%s %s: %s", request.method, request.path, error)
        response = reply(request, Unavailable("The database does not answer. Try again in a moment."))
        response["Retry-After"] = str(RETRY_AFTER_S)
        return response

    handlers: dict[type[Exception], Any] = {
        ApiError: reply,
        HttpError: on_http_error,
        AuthenticationError: on_unauthenticated,
        accounts.Invalid: lambda request, error: reply(request, Invalid(error.errors)),
        accounts.LastOwner: lambda request, error: reply(request, _conflict(error.errors)),
        metrics.Invalid: lambda request, error: reply(request, Invalid(error.errors)),
        runs.WrongState: lambda request, error: reply(request, Conflict(str(error))),
        sweeps.WrongState: lambda request, error: reply(request, Conflict(str(error))),
        runs.TooLarge: lambda request, error: reply(request, TooLarge(str(error))),
        runs.BlobMissing: lambda request, error: reply(request, NotFound(str(error))),
        MultiPartParserError: lambda request, error: reply(request, BadRequest(f"The form can't be read: {error}.")),
        UnreadablePostError: lambda request, error: reply(request, BadRequest("The body ended too early.")),
        OperationalError: on_database_away,
        Http404: lambda request, error: reply(request, NotFound("Not found.")),
        RequestDataTooBig: lambda request, error: reply(request, TooLarge("The request body is too large.")),
        SuspiciousOperation: lambda request, error: reply(request, BadRequest(str(error))),
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def _conflict(errors: Any) -> Conflict:
    return Conflict(errors[0]["msg"], errors)
