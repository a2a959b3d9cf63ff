"""The library: every registered method, with its mathematics, its knobs and the runs that use it."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from gpu_jobs import registry
from webapp.http import PageRequest
from webapp.pages import queries

RUNS_SHOWN = 20


class Knob(NamedTuple):
    name: str
    type: str
    default: str
    bounds: str
    help: str
    advanced: bool


@require_safe
@login_required
def methods(request: PageRequest) -> HttpResponse:
    families = [(family, list(registry.methods(family).values())) for family in registry.families()]
    return render(request, "pages/methods.html", {"families": [pair for pair in families if pair[1]]})


@require_safe
@login_required
def method(request: PageRequest, family: str, name: str) -> HttpResponse:
    if family not in registry.families() or name not in registry.methods(family):
        raise Http404(f"There is no method {name} among the {family}.")
    found = registry.methods(family)[name]
    runs = queries.runs_using(request.user, family, name)
    context = {
        "method": found,
        "knobs": knobs(found.knobs.model_json_schema()),
        "runs": runs[:RUNS_SHOWN],
        "run_count": runs.count(),
        "crumbs": [{"label": "Methods", "url": reverse("methods")}, {"label": found.title}],
    }
    return render(request, "pages/method.html", context)


def knobs(schema: dict[str, Any]) -> list[Knob]:
    """The rows of a JSON schema's properties, except the name that chooses the method."""
    definitions = schema.get("$defs", {})
    return [_knob(name, rule, definitions) for name, rule in schema["properties"].items() if name != "name"]


def _knob(name: str, rule: dict[str, Any], definitions: dict[str, Any]) -> Knob:
    default = "required" if "default" not in rule else _written(rule["default"])
    bounds = _bounds(rule) + (" · log scale" if rule.get("log") else "")
    help_text = str(rule.get("description", ""))
    return Knob(name, _type(rule, definitions), default, bounds.strip(" ·"), help_text, bool(rule.get("advanced")))


def _type(rule: dict[str, Any], definitions: dict[str, Any]) -> str:
    """`integer`, `attention | mlp`, `number | none`, `list of string`."""
    if "$ref" in rule:
        return _type(definitions[rule["$ref"].rpartition("/")[2]], definitions)
    if "enum" in rule:
        return " | ".join(str(value) for value in rule["enum"])
    if "const" in rule:
        return str(rule["const"])
    for key in ("anyOf", "oneOf"):
        if key in rule:
            return " | ".join(_type(option, definitions) for option in rule[key])
    if rule.get("type") == "array":
        return f"list of {_type(rule.get('items', {}), definitions)}"
    name = str(rule.get("type", "any"))
    return {"null": "none", "object": "group"}.get(name, name)


def _bounds(rule: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return ", ".join(f"{sign} {_written(rule[key])}" for key, sign in signs.items() if key in rule)


def _written(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
