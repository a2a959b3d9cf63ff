"""A fit that somebody is writing: the spec of its runs, whose long parts are typed as lines, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from gpu_jobs import spec as specs
from webapp.pages.forms.nodes import Block, Group, Knob, Path, walk
from webapp.pages.forms.spec import spec_form
from webapp.pages.runs import draft as drafts
from webapp.pages.scaling import typed

KIND = "scaling_fit"
LOOKED_UP = ("columns", "runs")  # of points that a query finds: filled in when a revision is queued
ORDER = ("Law", "Points", "Predictions")
FIRST = ("query", "upload", "columns", "x", "compute", "filter", "drop_highest")  # what one sets of points
STARTING: dict[str, Any] = {"law": {"name": "chinchilla"}, "points": {"source": "runs", "query": ""}}


@dataclass
class FitDraft:
    """`texts` holds what was typed as lines, by field, so that nothing is lost where it can't be read."""

    base: drafts.Draft
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> tuple[list[Group], list[str]]:
        """The form, and the sentences that belong to none of its fields."""
        form = spec_form(specs.schema(KIND), self.base.values, self.base.errors)
        groups = _arranged(form.groups)
        for node in walk(groups):
            if isinstance(node, Knob) and _is_typed(node):
                _as_lines(node, self.texts, self.base.values)
        return groups, form.errors


def opened(spec: Mapping[str, Any]) -> FitDraft:
    return FitDraft(drafts.Draft(KIND, plain(spec)))


def plain(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a query found: it is looked up anew."""
    found = dict(spec)
    for place in ("points", "then"):
        inner = found.get(place)
        if isinstance(inner, Mapping):
            found[place] = plain(inner) if place == "then" else _asked(inner)
    return found


def _asked(points: Mapping[str, Any]) -> dict[str, Any]:
    drop = LOOKED_UP if points.get("source") == "runs" else ()
    return {name: value for name, value in points.items() if name not in drop}


def submitted(data: QueryDict) -> FitDraft:
    """What a sent form says, in fields or as JSON."""
    data = data.copy()
    data["kind"] = KIND
    draft = FitDraft(drafts.submitted(data))
    if draft.base.kind != KIND:
        draft.base.errors.append({"loc": ["json"], "msg": f'kind must be "{KIND}": this is the spec of a fit.'})
        draft.base.kind = KIND
    if draft.base.is_text:
        draft.base.values.setdefault("kind", KIND)
        return draft
    for points in _sources(draft.base.values):
        points.setdefault("query", "")  # nothing typed: every run
    form = spec_form(specs.schema(KIND), draft.base.values)
    for node in walk(form.groups):
        typed_text = str(data.get(node.name, ""))
        if isinstance(node, Knob) and _is_typed(node) and typed_text.strip():
            _read(draft, node.path, typed_text)
    return draft


def _sources(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The points that a query finds, of both laws."""
    found = (_at(values, path) for path in (("points",), ("then", "points")))
    return [points for points in found if isinstance(points, dict) and points.get("source") == "runs"]


def _read(draft: FitDraft, path: Path, text: str) -> None:
    parent = _at(draft.base.values, path[:-1])
    draft.texts[".".join(path)] = text
    try:
        parent[path[-1]] = typed.read(path[-1], text)
    except ValueError as error:
        del parent[path[-1]]
        draft.base.errors.append({"loc": ["spec", *path], "msg": str(error)})


def _points(block: Block) -> list[Knob | Block]:
    """Where they come from stands first, what only resampling asks is folded away."""
    drop = LOOKED_UP if block.selected == "runs" else ()
    shown = [child for child in block.children if child.path[-1] not in drop]
    for child in shown:
        child.advanced = child.path[-1] not in FIRST
        if isinstance(child, Knob) and child.path[-1] == "query":
            child.required, child.placeholder = False, "every run that has succeeded"
    return sorted(shown, key=lambda child: FIRST.index(child.path[-1]) if child.path[-1] in FIRST else len(FIRST))


def _is_typed(knob: Knob) -> bool:
    return knob.path[-1] in typed.FORMS and knob.widget == "json"


def _as_lines(knob: Knob, texts: Mapping[str, str], values: Mapping[str, Any]) -> None:
    form, value = typed.FORMS[knob.path[-1]], _at(values, knob.path)
    knob.widget, knob.help, knob.placeholder, knob.rows = "lines", form.help, form.placeholder, form.rows
    knob.value = texts.get(knob.name) or ("" if value is None else form.write(value))


def _at(values: Any, path: Path) -> Any:
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _arranged(groups: list[Group]) -> list[Group]:
    """The groups in the order in which one thinks; what is left over belongs to the law, folded away."""
    by_label = {group.label: group for group in groups}
    law = by_label["Law"]
    for group in groups:
        if group.label not in ORDER:
            for child in group.children:
                child.advanced = True
                law.children.append(child)
    for node in walk(groups):
        if isinstance(node, Block) and node.tag == "source":
            node.children = _points(node)
    return [by_label[label] for label in ORDER if label in by_label]
