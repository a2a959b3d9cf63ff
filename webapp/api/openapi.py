"""ninja's API with readable operation names, the error answers declared, and bad input in Hone's shape."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from ninja import NinjaAPI
from ninja.errors import ValidationErrorContext
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation, PathView
from pydantic_core import ErrorDetails

from webapp.api.errors import Error, Invalid
from webapp.api.schemas.common import ErrorReply
from webapp.runs.specs import sentence

REPLY = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorReply"}}}}
ERRORS = {
    400: "The body is not JSON.",
    401: "No token and no session, or a wrong one.",
    403: "Your role in the project is too low, or the CSRF token is missing.",
    404: "It does not exist, or you are no member of its project.",
    409: "Not possible in the state it is in; the sentence says what is.",
    422: "A field or parameter breaks a rule; `errors` names each.",
}
UNSAFE_ONLY = frozenset({400, 403, 409})


class HoneAPI(NinjaAPI):
    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        schema = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        reply = ErrorReply.model_json_schema(ref_template="#/components/schemas/{model}")
        schema["components"]["schemas"] |= reply.pop("$defs") | {"ErrorReply": reply}
        for operations in schema["paths"].values():
            for method, operation in operations.items():
                operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
                _declare_errors(method, operation)
        return schema

    def refuse_methods_in_json(self) -> None:
        """Makes a wrong method's answer look like every other error; ninja's own is plain text. Call it last."""
        for router in self._get_bound_routers():
            for view in router.path_operations.values():
                view._not_allowed = partial(_not_allowed, view)  # type: ignore[method-assign]

    def validation_error_from_error_contexts(  # type: ignore[override]
        self, error_contexts: list[ValidationErrorContext[Any]]
    ) -> Invalid:
        return Invalid(
            [
                {"loc": _loc(context, error), "msg": sentence(error)}
                for context in error_contexts
                for error in context.pydantic_validation_error.errors(include_url=False)
            ]
        )


def _not_allowed(view: PathView) -> HttpResponse:
    allowed = sorted({method for operation in view.operations for method in operation.methods})
    body = {"detail": f"This address answers {', '.join(allowed)}.", "errors": []}
    return JsonResponse(body, status=405, headers={"Allow": ", ".join(allowed)})


def file_reply(description: str, *media_types: str) -> dict[str, Any]:
    """`openapi_extra` of an operation whose answer is no JSON."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}
    return {"responses": {200: {"description": description, "content": content}}}


def _declare_errors(method: str, operation: dict[str, Any]) -> None:
    for status, description in ERRORS.items():
        if method == "get" and status in UNSAFE_ONLY:
            continue
        operation["responses"].setdefault(status, {"description": description, **REPLY})
    operation["responses"] = {str(status): reply for status, reply in sorted(operation["responses"].items())}


def _loc(context: ValidationErrorContext[Any], error: ErrorDetails) -> list[str | int]:
    """The path within the body, or the parameter's name: not how ninja has wrapped them."""
    model = context.model
    if model.__ninja_param_source__ == "body":
        return list(error["loc"][1:])
    found = getattr(model, "__ninja_flatten_map_reverse__", {}).get(error["loc"], error["loc"])
    return list(found)


def refuse_unknown_parameters(run: Callable[..., Any]) -> Callable[..., Any]:
    """A misspelled query parameter is an error, not a filter that silently does nothing."""
    operation: Operation = run.__self__  # type: ignore[attr-defined]
    known = _query_names(operation)

    def refusal(request: HttpRequest) -> HttpResponseBase | None:
        unknown = sorted(set(request.GET) - known)
        if not unknown:
            return None
        there_are = f"the parameters are {', '.join(sorted(known))}" if known else "it takes none"
        errors: list[Error] = [{"loc": [name], "msg": f"There is no such parameter: {there_are}."} for name in unknown]
        return operation.api.on_exception(request, Invalid(errors))

    async def checked_async(request: HttpRequest, **values: Any) -> HttpResponseBase:
        return refusal(request) or await run(request, **values)

    def checked(request: HttpRequest, **values: Any) -> HttpResponseBase:
        return refusal(request) or run(request, **values)

    return checked_async if inspect.iscoroutinefunction(run) else checked


def _query_names(operation: Operation) -> frozenset[str]:
    models = (model for model in operation.models if model.__ninja_param_source__ == "query")
    return frozenset(name for model in models for name in model.__ninja_flatten_map__)
