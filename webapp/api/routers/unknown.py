"""Every address that no other router knows: the last one mounted."""

from __future__ import annotations

from typing import NoReturn

from django.http import HttpRequest
from ninja import Router

from webapp.api.errors import NotFound

router = Router()
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@router.api_operation(METHODS, "/{path:rest}", include_in_schema=False)
def unknown_address(request: HttpRequest, rest: str) -> NoReturn:
    raise NotFound(f"The API has no address /{rest}: see docs.")
