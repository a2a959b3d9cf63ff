"""What can be run: the kinds of jobs with their specs, and the methods with their knobs, from the registry."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import reverse
from ninja import Router

from gpu_jobs import registry
from gpu_jobs.registry import Method
from webapp.api.errors import NotFound
from webapp.api.schemas.methods import KindList, KindOutput, MethodDetail, MethodList, MethodOutput

router = Router()


@router.get("/kinds", response=KindList)
def list_kinds(request: HttpRequest) -> KindList:
    """Every kind of job with the JSON schema of its spec."""
    from gpu_jobs.spec import schema

    kinds = registry.kinds().values()
    return KindList(items=[KindOutput(name=kind.name, title=kind.title, spec=schema(kind.name)) for kind in kinds])


@router.get("/methods", response=MethodList)
def list_methods(request: HttpRequest, family: str = "") -> MethodList:
    """Every method, or those of one family."""
    families = [family] if family else registry.families()
    if not set(families) <= set(registry.families()):
        raise NotFound(f"There is no family {family!r}: there are {', '.join(registry.families())}.")
    found = (method for name in families for method in registry.methods(name).values())
    return MethodList(items=[MethodOutput(**_fields(method)) for method in found])


@router.get("/methods/{family}/{name}", response=MethodDetail)
def get_method(request: HttpRequest, family: str, name: str) -> MethodDetail:
    """One method with its documentation and the JSON schema of its knobs."""
    method = registry.methods(family).get(name) if family in registry.families() else None
    if method is None:
        raise NotFound(f"There is no method {family}/{name}.")
    return MethodDetail(**_fields(method), doc=method.doc, knobs=method.knobs.model_json_schema())


def _fields(method: Method) -> dict[str, str | None]:
    url = reverse("api:get_method", kwargs={"family": method.family, "name": method.name})
    return {
        "family": method.family, "name": method.name, "title": method.title, "summary": method.summary,
        "paper": method.paper, "url": url,
    }  # fmt: skip
