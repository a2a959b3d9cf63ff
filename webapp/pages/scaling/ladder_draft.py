"""A ladder that somebody is about to queue: the base spec, what the definition asks beside it, and what is wrong.

What the definition asks stands in the form of a job's spec, so its names begin with `ladder.` and can't meet a field of
the spec. Fields that rungs set are not in the form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from webapp.accounts.errors import FieldError, Invalid
from webapp.accounts.models import Project, User
from webapp.pages.forms.nodes import Block, Group, Parent
from webapp.pages.forms.spec import SpecForm, spec_form
from webapp.pages.forms.values import read, storable
from webapp.pages.runs import draft as drafts
from webapp.scaling import definition as definitions
from webapp.scaling.bases import DEFAULTS
from webapp.scaling.definition import Definition
from webapp.scaling.proposals import Proposal, proposal

ROOT = "ladder"
GROUPS = {"Runs": ("target_flops", "design", "rates", "warmup", "seeds"),
          "Fit": ("law", "holdout", "objective", "bootstrap")}  # fmt: skip
SET_BY_RUNGS = {("model",), ("batch_size",), ("steps",), ("optimizer", "lr"), ("schedule", "warmup_steps")}
EXAMPLE: dict[str, Any] = {
    **DEFAULTS,
    "data": {"source": "builtin", "name": "stdlib-source"},
    "sequence_length": 128,
    "optimizer": {"name": "adamw", "weight_decay": 0.1, "beta2": 0.95},
    "schedule": {"name": "cosine", "final": 0.1},
}
TARGET = 1e13  # of the example: twelve rungs on a CPU


@dataclass
class LadderDraft:
    base: drafts.Draft
    asked: dict[str, Any] = field(default_factory=dict)
    errors: list[FieldError] = field(default_factory=list)  # of what is asked, and of nothing in particular

    @property
    def is_wrong(self) -> bool:
        return bool(self.errors or self.base.errors)

    @property
    def definition(self) -> dict[str, Any]:
        return {**self.asked, "base": self.base.values}

    def proposed(self, user: User, project: Project) -> Proposal:
        """Raises Invalid."""
        if self.base.errors:
            raise Invalid(self.base.errors)
        storable(self.definition)
        return proposal(definitions.checked(self.definition), user, project)

    def place(self, errors: Iterable[FieldError]) -> None:
        """Each error at the base or at what is asked."""
        for error in errors:
            first, *rest = error["loc"] or [""]
            (self.base.errors if first == "base" else self.errors).append(
                {"loc": rest if first == "base" else error["loc"], "msg": error["msg"]}
            )

    @property
    def groups(self) -> tuple[list[Group], list[str]]:
        """What is asked as groups of the form, and the sentences that belong to none of them."""
        below: list[FieldError] = [{"loc": [ROOT, *error["loc"]], "msg": error["msg"]} for error in self.errors]
        form = spec_form(schema(), {ROOT: self.asked}, below)
        (root,) = form.groups[0].children
        assert isinstance(root, Block)
        by_name = {child.path[-1]: child for child in root.children}
        groups = [Group(label=label, children=[by_name[name] for name in names]) for label, names in GROUPS.items()]
        return groups, [*form.errors, *root.errors]

    def spec(self, of: Mapping[str, Any]) -> SpecForm:
        """The base's form, without the fields that rungs set."""
        form = spec_form(of, self.base.values, self.base.errors)
        for group in form.groups:
            _prune(group)
        return SpecForm([group for group in form.groups if group.children], form.errors)


def schema() -> dict[str, Any]:
    """A schema with the one property `ladder`: the definition without its base, with the laws that rungs can tell."""
    whole = Definition.model_json_schema()
    inner = {name: item for name, item in whole["properties"].items() if name != "base"}
    mapping = inner["law"]["discriminator"]["mapping"]
    fitting = {name: mapping[name] for name in mapping if name in definitions.laws()}
    inner["law"] = {**inner["law"], "discriminator": {**inner["law"]["discriminator"], "mapping": fitting}}
    root = {"type": "object", "properties": inner, "required": ["target_flops"]}
    return {"$defs": whole.get("$defs", {}), "properties": {ROOT: root}}


def opened(spec: Mapping[str, Any] | None = None) -> LadderDraft:
    """On the example, or on the spec of a pretraining run."""
    base = {**EXAMPLE} if spec is None else {**spec, **DEFAULTS}
    base.pop("model", None)
    return LadderDraft(drafts.Draft("pretrain", base), {"target_flops": TARGET})


def submitted(data: QueryDict) -> LadderDraft:
    base = drafts.submitted(data)
    if not base.is_text:  # the form has no model, which is then read as the first that there is
        base.values.pop("model", None)
    return LadderDraft(base, read(schema(), data).get(ROOT, {}))


def _prune(parent: Parent) -> None:
    parent.children = [child for child in parent.children if child.path not in SET_BY_RUNGS]
    for child in parent.children:
        if isinstance(child, Parent):
            _prune(child)
