"""A sweep that somebody is writing: everything as typed, and what is wrong with it, field by field."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from gpu_jobs import registry
from webapp.accounts.errors import FieldError
from webapp.accounts.models import Project, User
from webapp.pages.forms import dimensions, objectives, settings
from webapp.pages.forms.dimensions import Row
from webapp.pages.forms.objectives import ObjectiveRow
from webapp.pages.forms.plain import plains_of
from webapp.pages.runs import draft as drafts
from webapp.pages.runs.describe import data_of, method_of, model_of
from webapp.runs.models import Run
from webapp.runs.queries import visible
from webapp.sweeps.search import suggestions

FIRST_KNOB = "optimizer.lr"
USUAL_KIND = "pretrain"


@dataclass
class SweepDraft:
    """`base` is the spec of which every trial is a variation; `observations` come along from another tool's study."""

    base: drafts.Draft
    rows: list[Row] = field(default_factory=list)
    constraints: str = ""
    objectives: list[ObjectiveRow] = field(default_factory=lambda: objectives.rows_of(None))
    settings: dict[str, Any] = field(default_factory=dict)
    observations: list[Any] = field(default_factory=list)
    constraint_errors: list[str] = field(default_factory=list)
    errors: list[FieldError] = field(default_factory=list)  # those of `settings`, and those of no field

    @property
    def body(self) -> dict[str, Any]:
        """The definition that it says, as POST /sweeps takes it."""
        search = {
            **self.settings.get("search", {}),
            "space": dimensions.space_of(self.rows),
            "constraints": [line.strip() for line in self.constraints.splitlines() if line.strip()],
        }
        rest = {name: value for name, value in self.settings.items() if name != "search"}
        objective = [row.as_json for row in self.objectives]
        return {"spec": self.base.values, "search": search, "objective": objective, **rest}

    @property
    def is_wrong(self) -> bool:
        rows = any(row.errors for row in self.rows) or any(row.errors for row in self.objectives)
        return bool(rows or self.errors or self.base.errors or self.constraint_errors)

    @property
    def renamed_observations(self) -> list[Any]:
        """The observations under the paths that their knobs have by now; a knob whose row was removed is left out."""
        names = {row.origin: row.path for row in self.rows if row.origin}
        return [{**one, "params": _renamed(one.get("params"), names)} for one in self.observations]

    @property
    def observations_json(self) -> str:
        return json.dumps(self.observations) if self.observations else ""

    @property
    def words(self) -> list[str]:
        """Its base in a few words: method, model, data."""
        run = Run(spec=self.base.values)
        return [word for word in (method_of(run), model_of(run), data_of(run)) if word]

    @property
    def suggested(self) -> dict[str, Any]:
        """{path: dimension} of the knobs that a search of this space usually varies, conditions fitted to its rows."""
        spec = self.base.values
        found = suggestions.choices_of_methods(spec) | suggestions.suggested(spec)
        chosen = {row.path: plains_of(row.choices) for row in self.rows if row.shape == "choices"}
        fitted = ((path, _fitted(path, dimension, spec, chosen)) for path, dimension in found.items())
        return {path: dimension for path, dimension in fitted if dimension is not None}


def _fitted(
    path: str, dimension: dict[str, Any], spec: Mapping[str, Any], chosen: Mapping[str, Any]
) -> dict[str, Any] | None:
    """A suggestion in a space that varies `chosen`: where methods are chosen, a knob counts only with its own method,
    and not at all (None) where that one is not among them."""
    field, _, knob = path.partition(".")
    parent = f"{field}.name"
    if not knob or path == parent or parent not in chosen:
        return dimension
    own = suggestions.own_method(spec, field)
    if own not in chosen[parent]:
        return None
    return {**dimension, "when": {parent: [own]}} if len(chosen[parent]) > 1 else dimension


def opened(spec: Mapping[str, Any]) -> SweepDraft:
    """A new sweep over a spec: the learning rate is varied to begin with, where there is one."""
    kind = _kind(spec)
    draft = SweepDraft(drafts.Draft(kind, {"kind": kind, **spec}))
    suggested = draft.suggested
    draft.rows = [dimensions.row_of(FIRST_KNOB, suggested[FIRST_KNOB])] if FIRST_KNOB in suggested else [Row()]
    return draft


def of_definition(body: Mapping[str, Any]) -> SweepDraft:
    """The form that says this definition: a copy of a sweep, or what was read from another tool."""
    spec, search = body.get("spec"), body.get("search")
    given = search if isinstance(search, Mapping) else {}
    spec = spec if isinstance(spec, Mapping) else {}
    space, constraints = given.get("space"), given.get("constraints")
    rows = dimensions.rows_of(space) if isinstance(space, Mapping) else []
    observations = list(body.get("observations") or [])
    for row in rows if observations else ():
        row.origin = row.path
    return SweepDraft(
        base=drafts.Draft(_kind(spec), dict(spec)),
        rows=rows,
        constraints="\n".join(map(str, constraints)) if isinstance(constraints, list) else "",
        objectives=objectives.rows_of(body.get("objective")),
        settings=settings.of_definition(body),
        observations=observations,
    )


def submitted(data: QueryDict) -> SweepDraft:
    return SweepDraft(
        base=drafts.submitted(data),
        rows=dimensions.submitted(data),
        constraints=data.get("constraints", ""),
        objectives=objectives.submitted(data),
        settings=settings.submitted(data),
        observations=_observations(data.get("observations", "")),
    )


def changed(draft: SweepDraft, what: str) -> None:
    """What a button of the form does to it: `add:optimizer.lr`, `remove:2`, `objective`, `objective-remove:0`, ..."""
    name, _, detail = what.partition(":")
    act = CHANGES.get(name)
    if act:
        act(draft, detail)
    _fill(draft)


def runs_of(project: Project, user: User) -> QuerySet[Run]:
    """The runs whose spec a sweep may start from, newest first."""
    return visible(user).filter(project=project).exclude(kind="external").order_by("-id")


def place(draft: SweepDraft, errors: Iterable[FieldError]) -> None:
    """Puts each error at its field; `draft.errors` keeps those of the knobs and those that have no field."""
    for error in errors:
        steps = [str(step) for step in error["loc"]]
        if steps[:1] in (["spec"], ["json"]):
            draft.base.errors.append(error)
        elif steps[:2] == ["search", "constraints"]:
            draft.constraint_errors.append(_numbered(steps, error["msg"]))
        elif not dimensions.place(draft.rows, error) and not objectives.place(draft.objectives, error):
            draft.errors.append(error)


def _numbered(steps: list[str], sentence: str) -> str:
    return f"Line {int(steps[2]) + 1}: {sentence}" if len(steps) > 2 and steps[2].isdecimal() else sentence


def _add(draft: SweepDraft, path: str) -> None:
    if len(draft.rows) < dimensions.MOST:
        draft.rows = [row for row in draft.rows if row.path or not row.is_blank] if path else draft.rows
        draft.rows.append(dimensions.row_of(path, draft.suggested.get(path)))


def _remove(draft: SweepDraft, number: str) -> None:
    draft.rows = [row for place_, row in enumerate(draft.rows) if str(place_) != number] or [Row()]


def _add_objective(draft: SweepDraft, _: str) -> None:
    if len(draft.objectives) < objectives.MOST:
        draft.objectives.append(ObjectiveRow())


def _remove_objective(draft: SweepDraft, number: str) -> None:
    draft.objectives = objectives.without(draft.objectives, int(number) if number.isdecimal() else -1)


CHANGES: Mapping[str, Callable[[SweepDraft, str], None]] = {
    "add": _add,
    "remove": _remove,
    "objective": _add_objective,
    "objective-remove": _remove_objective,
    "json": lambda draft, _: drafts.turn(draft.base, to_text=True),
    "form": lambda draft, _: drafts.turn(draft.base, to_text=False),
}


def _fill(draft: SweepDraft) -> None:
    """A row with nothing but the path of a known knob gets its usual bounds."""
    suggested = draft.suggested if any(row.path and row.is_blank for row in draft.rows) else {}
    for place_, row in enumerate(draft.rows):
        if row.is_blank and row.path in suggested and row.shape == "range":
            draft.rows[place_] = dimensions.row_of(row.path, suggested[row.path])


def _kind(spec: Mapping[str, Any]) -> str:
    kinds = registry.kinds()
    return next(kind for kind in (spec.get("kind"), USUAL_KIND, *kinds) if kind in kinds)


def _observations(text: str) -> list[Any]:
    try:
        found = json.loads(text) if text else []
    except ValueError:
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _renamed(params: Any, names: Mapping[str, str]) -> Any:
    return (
        {names[path]: value for path, value in params.items() if path in names} if isinstance(params, dict) else params
    )
