"""A study that somebody is about to start: the base spec, the protocol's knobs, and what is wrong with them.

The knobs stand in the form of a job's spec, so their names begin with `knobs.` and can't meet a field of the spec.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from webapp.accounts.errors import FieldError, Invalid
from webapp.accounts.models import Project, User
from webapp.pages.forms.nodes import Block, Group
from webapp.pages.forms.spec import spec_form
from webapp.pages.forms.values import read, storable
from webapp.pages.runs import draft as drafts
from webapp.pages.runs.describe import data_of, method_of, model_of
from webapp.runs.models import Run
from webapp.sweeps import studies
from webapp.sweeps.planning import Planned
from webapp.sweeps.registry import Entry, Knobs

ROOT = "knobs"


@dataclass
class StudyDraft:
    entry: Entry
    base: drafts.Draft
    knobs: dict[str, Any] = field(default_factory=dict)
    errors: list[FieldError] = field(default_factory=list)  # of the knobs, and of nothing in particular

    @property
    def is_wrong(self) -> bool:
        return bool(self.errors or self.base.errors)

    @property
    def words(self) -> list[str]:
        """Its base in a few words: method, model, data."""
        run = Run(spec=self.base.values)
        return [word for word in (method_of(run), model_of(run), data_of(run)) if word]

    def checked(self) -> Knobs:
        """Raises Invalid."""
        storable(self.base.values)
        storable(self.knobs)
        return studies.knobs_of(self.entry, self.knobs)

    def planned(self, user: User, project: Project) -> list[Planned]:
        """Raises Invalid."""
        if self.base.errors:
            raise Invalid(self.base.errors)
        return studies.planned(self.entry, self.checked(), self.base.values, user, project)

    def place(self, errors: Iterable[FieldError]) -> None:
        """Each error at the spec or at the knobs."""
        for error in errors:
            (self.base.errors if str(error["loc"][:1]) in ("['spec']", "['json']") else self.errors).append(error)

    @property
    def groups(self) -> tuple[list[Group], list[str]]:
        """The knobs as a group of the form, and the sentences that belong to none of them."""
        form = spec_form(schema(self.entry), {ROOT: self.knobs}, self.errors)
        root = form.groups[0].children[0] if form.groups and form.groups[0].children else None
        if not isinstance(root, Block):
            return [], form.errors
        return [Group(label="Protocol", children=root.children)], [*form.errors, *root.errors]


def schema(entry: Entry) -> dict[str, Any]:
    """A schema with the one property `knobs`."""
    whole = entry.knobs.model_json_schema()
    inner = {name: item for name, item in whole["properties"].items() if name != "name"}
    return {
        "$defs": whole.get("$defs", {}),
        "properties": {ROOT: {"type": "object", "properties": inner, "required": whole.get("required", [])}},
    }


def opened(entry: Entry, spec: dict[str, Any], kind: str) -> StudyDraft:
    return StudyDraft(entry, drafts.Draft(kind, spec))


def submitted(entry: Entry, data: QueryDict) -> StudyDraft:
    return StudyDraft(entry, drafts.submitted(data), read(schema(entry), data).get(ROOT, {}))
