"""The knobs of a sweep that its definition's schema tells: sampler, stopper, seeds, budget, how many trials.

They stand in the form of a job's spec, so their names begin with `sweep.` and can't meet a field of the spec.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from django.http import QueryDict

from webapp.accounts.errors import FieldError
from webapp.pages.forms.nodes import Block, Group, Knob
from webapp.pages.forms.schema import resolved
from webapp.pages.forms.spec import spec_form
from webapp.pages.forms.values import read
from webapp.sweeps.definition import Definition

ROOT = "sweep"
PARTS = ("stopper", "trials", "seeds", "concurrency", "budget")
HELP = {
    "stopper": "Ends trials early that won't win, so that the others get their time.",
    "trials": "Points that are tried in all.",
    "deadline": "With its time zone, like 2026-11-21T18:00:00+01:00.",
    "gpu_hours": "Time that slots are taken, summed over all runs.",
    "flops": "Training FLOPs, summed over all runs.",
    "first": "Tuning seeds count up from here.",
    "racing": "Begin with few seeds; only those that may still win get the others.",
    "racing_from": "Seeds that every trial begins with when racing is on.",
}
ADVANCED = ("first", "racing_from", "confidence", "seed")


@functools.cache
def schema() -> dict[str, Any]:
    """A schema with the one property `sweep`, in which are the parts of a definition that are plain knobs."""
    whole = Definition.model_json_schema()
    definitions = {name: _told(item) for name, item in whole["$defs"].items()}
    search = resolved(whole["properties"]["search"], definitions)
    inner = {name: _described(name, whole["properties"][name]) for name in PARTS}
    inner["search"] = {
        "type": "object",
        "properties": {name: search["properties"][name] for name in ("sampler", "seed")},
    }
    return {"$defs": definitions, "properties": {ROOT: {"type": "object", "properties": inner}}}


def submitted(data: QueryDict) -> dict[str, Any]:
    """{"search": {...}, "stopper": ..., "trials": ...} as typed; what is empty is left out."""
    values: dict[str, Any] = read(schema(), data).get(ROOT, {})
    return values


def of_definition(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The same from a definition, whose short forms are written out."""
    search = definition.get("search")
    given = search if isinstance(search, Mapping) else {}
    found = {name: definition[name] for name in PARTS if name in definition}
    found["search"] = {name: given[name] for name in ("sampler", "seed") if name in given}
    for place, key in ((found, "stopper"), (found["search"], "sampler")):
        if isinstance(place.get(key), str):
            place[key] = {"name": place[key]}
    if isinstance(found.get("seeds"), int):
        found["seeds"] = {"tune": found["seeds"]}
    return found


def groups(values: Mapping[str, Any], errors: Iterable[FieldError] = ()) -> tuple[dict[str, Group], list[str]]:
    """The groups of the form by name, and the sentences that belong to none of their fields."""
    form = spec_form(schema(), {ROOT: values}, [{**error, "loc": [ROOT, *error["loc"]]} for error in errors])
    root = form.groups[0].children[0]
    assert isinstance(root, Block)
    parts = {child.path[-1]: child for child in root.children}
    homeless = [*form.errors, *root.errors]
    return {
        "sampler": Group(label="Sampler", children=_inside(parts["search"])),
        "stopper": Group(label="Early stopping", children=[_stopper(parts["stopper"])]),
        "extent": Group(label="Trials", children=[parts["trials"], parts["concurrency"]]),
        "seeds": Group(label="Seeds", children=_inside(parts["seeds"]), errors=parts["seeds"].errors),
        "budget": Group(label="Budget", children=_inside(parts["budget"]), errors=parts["budget"].errors),
    }, homeless


def _inside(node: Block | Knob) -> list[Knob | Block]:
    return node.children if isinstance(node, Block) else [node]


def _stopper(node: Block | Knob) -> Block | Knob:
    """Under its group's heading; none of them is no default but no stopping."""
    node.label = "Early stopping"
    if isinstance(node, Block):
        node.options = [(value, title if value else "none") for value, title in node.options]
    return node


def _told(item: dict[str, Any]) -> dict[str, Any]:
    """A definition of the schema whose properties say what they are, for those that the model leaves to the reader."""
    if "properties" not in item:
        return item
    return {**item, "properties": {name: _described(name, inner) for name, inner in item["properties"].items()}}


def _described(name: str, item: dict[str, Any]) -> dict[str, Any]:
    told = {**item, "description": HELP[name]} if name in HELP else dict(item)
    return {**told, "advanced": True} if name in ADVANCED else told
