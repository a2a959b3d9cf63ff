"""What a page answers when it cannot be shown: what happened, and the way out."""

from __future__ import annotations

import sys

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _error(request, 400, "This request can't be read", "Go back, reload the page and try again.")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    text = _sentence(exception) or "Your role does not allow this. An owner of the project can change it."
    return _error(request, 403, "Not with your role", text)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _error(
        request, 403, "This form is too old", "Reload the page and send it again: you signed in or out since."
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    text = _sentence(exception) or "It may have been deleted, or the address is mistyped."
    return _error(request, 404, "Nothing is here", text)


def server_error(request: HttpRequest) -> HttpResponse:
    """Asks nothing of the database: it may be what is broken."""
    if request.path.startswith("/api/"):
        detail = "Something broke on our side: it is in the server's log."
        return JsonResponse({"detail": detail, "errors": []}, status=500)
    if isinstance(sys.exception(), OperationalError):
        text = "Reload the page in a moment. Runs go on: what they log meanwhile is kept and comes later."
        return _error(request, 503, "The database does not answer", text)
    text = "It is in the server's log. Runs go on: nothing that trains depends on this page."
    return _error(request, 500, "Something broke on our side", text)


def _error(request: HttpRequest, status: int, title: str, text: str) -> HttpResponse:
    context = {"status": status, "title": title, "text": text}
    return render(request, "pages/error.html", context, status=status)


def _sentence(exception: Exception | None) -> str:
    """The message a view raised, if it is one: the resolver's own Http404 carries a dictionary instead."""
    reason = exception.args[0] if exception and exception.args else ""
    return reason if isinstance(reason, str) and reason.endswith(".") else ""
