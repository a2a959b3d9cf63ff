"""Tables of runs: groups with their statistics, and saved views."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from webapp.api.schemas.common import Input, Output
from webapp.metrics.table.grouping import Group, Groups, Statistics
from webapp.runs.language import MOST_CHARACTERS
from webapp.runs.models import SavedView
from webapp.runs.saved_views import MOST_COLUMNS, Shown


class StatisticsOutput(Output):
    runs: int = Field(description="Runs of the group in which the value is finite.")
    mean: float | None
    std: float | None = Field(description="Sample standard deviation (n - 1); null for fewer than two runs.")
    min: float | None
    max: float | None

    @classmethod
    def of(cls, told: Statistics) -> StatisticsOutput:
        return cls(**told._asdict())


class GroupOutput(Output):
    values: dict[str, str | float | None] = Field(description="By the columns asked for; null: the runs have none.")
    count: int
    query: str | None = Field(description="Finds exactly these runs, as `q`; null where no query can say it.")
    metrics: dict[str, StatisticsOutput]

    @classmethod
    def of(cls, group: Group, groups: Groups) -> GroupOutput:
        values = {
            key.name: float(value.text) if value.is_number and value.text is not None else value.text
            for key, value in zip(groups.keys, group.values, strict=True)
        }
        told = zip(groups.metrics, group.metrics, strict=True)
        metrics = {one.name: StatisticsOutput.of(statistics) for one, statistics in told}
        return cls(values=values, count=group.count, query=group.query, metrics=metrics)


class GroupList(Output):
    items: list[GroupOutput]
    is_more: bool = Field(description="There are more groups than the 500 that are told.")

    @classmethod
    def of(cls, groups: Groups) -> GroupList:
        return cls(items=[GroupOutput.of(group, groups) for group in groups.items], is_more=groups.is_more)


class ViewInput(Input):
    model_config = ConfigDict(json_schema_extra={"examples": [{
        "name": "best LoRA", "q": "params.method = 'lora' and metrics.eval/loss < 2", "sort": "eval/loss",
        "columns": ["status", "eval/loss", "params.optimizer.lr"], "group": "params.method.rank", "is_default": False,
    }]})  # fmt: skip

    name: str = Field(description="1 to 60 characters, once in a project.")
    is_default: bool = Field(False, description="What somebody sees who asks for nothing; one view of a project is it.")
    q: str = Field("", max_length=MOST_CHARACTERS)
    status: str = ""
    kind: str = ""
    tag: str = ""
    sort: str = Field("", description="A column of the page's table, - in front for descending.")
    columns: list[str] = Field([], max_length=MOST_COLUMNS)
    group: str = Field("", description="One to three columns, separated by commas.")
    group_sort: str = Field("", description="count, key, or mean:<column> (std, min, max), - in front for descending.")

    @property
    def shown(self) -> Shown:
        return Shown.of(self.model_dump(include={*Shown.model_fields}))


class ViewChanges(Input):
    """Only the fields that are sent are changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "best LoRA so far", "is_default": True}]})

    name: str | SkipJsonSchema[None] = None
    is_default: bool | SkipJsonSchema[None] = None
    q: str | SkipJsonSchema[None] = None
    status: str | SkipJsonSchema[None] = None
    kind: str | SkipJsonSchema[None] = None
    tag: str | SkipJsonSchema[None] = None
    sort: str | SkipJsonSchema[None] = None
    columns: list[str] | SkipJsonSchema[None] = None
    group: str | SkipJsonSchema[None] = None
    group_sort: str | SkipJsonSchema[None] = None

    @property
    def changes_shown(self) -> bool:
        """A new name alone undoes nothing that somebody else changes at the same time."""
        return any(getattr(self, name) is not None for name in Shown.model_fields)

    def shown(self, view: SavedView) -> Shown:
        told: dict[str, Any] = self.model_dump(include={*Shown.model_fields}, exclude_none=True)
        return Shown.of({**Shown.of_view(view).model_dump(), **told})


class ViewOutput(Output):
    id: int
    name: str
    is_default: bool
    q: str
    status: str
    kind: str
    tag: str
    sort: str
    columns: list[str]
    group: str
    group_sort: str
    created_by: str | None
    changed_at: datetime
    url: str = Field(description="The page that shows it.")

    @classmethod
    def of(cls, view: SavedView, url: str) -> ViewOutput:
        by = view.created_by.username if view.created_by else None
        told: dict[str, Any] = {**Shown.of_view(view).model_dump(), "columns": view.columns}
        return cls(id=view.pk, name=view.name, is_default=view.is_default, created_by=by, changed_at=view.changed_at,
                   url=url, **told)  # fmt: skip


class ViewList(Output):
    items: list[ViewOutput]
    next: str | None = None
