"""Saved views: what a project's table of runs shows, under a name, for everybody who may see the project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlencode

from django.db import transaction
from django.db.models.functions import Now
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from webapp.accounts.models import Project, User
from webapp.runs import language
from webapp.runs.errors import Invalid
from webapp.runs.models import SavedView

MOST_VIEWS = 200
MOST_COLUMNS = 40
LONGEST_NAME = 60


class Shown(BaseModel):
    """The fields of the table's address. `columns` are in their order; none are the usual ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: str = Field("", max_length=language.MOST_CHARACTERS)
    status: str = Field("", max_length=250)
    kind: str = Field("", max_length=250)
    tag: str = Field("", max_length=250)
    sort: str = Field("", max_length=300)
    columns: tuple[Annotated[str, Field(min_length=1, max_length=300)], ...] = Field((), max_length=MOST_COLUMNS)
    group: str = Field("", max_length=600, description="Columns by which the runs are put in groups.")
    group_sort: str = Field("", max_length=320, description="What the groups are sorted by.")

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Raises Invalid, also for a query that can't be read."""
        try:
            shown = cls(**told)
        except ValidationError as error:
            raise Invalid([{"loc": [*item["loc"]], "msg": _sentence(item)} for item in error.errors()]) from None
        if "\x00" in "".join([*shown.fields().values()]):
            raise Invalid.field("q", "A view must have no character of number 0.")
        if language.is_query(shown.q):
            language.condition(shown.q)
        return shown

    @classmethod
    def of_view(cls, view: SavedView) -> Self:
        return cls(**{name: getattr(view, name) for name in cls.model_fields})

    def fields(self) -> dict[str, str]:
        """As an address has them, without the empty ones."""
        told = {**self.model_dump(), "columns": ",".join(self.columns)}
        return {name: value for name, value in told.items() if value}

    def url_query(self, view: SavedView | None = None) -> str:
        return urlencode({**({"view": view.pk} if view else {}), **self.fields()})


def _sentence(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}, not {str(error['input'])!r:.80}."


def views_of(project: Project) -> list[SavedView]:
    return list(project.views.select_related("created_by"))


def default_of(project: Project) -> SavedView | None:
    return project.views.filter(is_default=True).first()


@transaction.atomic
def create(project: Project, user: User, name: str, shown: Shown, *, is_default: bool = False) -> SavedView:
    """Raises Invalid, also where the name is taken."""
    _lock(project)
    name = _free(project, name)
    if project.views.count() >= MOST_VIEWS:
        raise Invalid.field("name", f"A project has at most {MOST_VIEWS} views: delete one first.")
    if is_default:
        project.views.update(is_default=False)
    return SavedView.objects.create(
        project=project, created_by=user, name=name, is_default=is_default, **shown.model_dump() | _columns(shown)
    )


@transaction.atomic
def save(project: Project, user: User, name: str, shown: Shown, *, is_default: bool = False) -> SavedView:
    """Under a new name, or in place of the view that has it. Raises Invalid."""
    _lock(project)
    same = project.views.filter(name=_cleaned(name)).first()
    if same is None:
        return create(project, user, name, shown, is_default=is_default)
    return change(same, shown=shown, is_default=is_default)


@transaction.atomic
def change(
    view: SavedView, *, name: str | None = None, shown: Shown | None = None, is_default: bool | None = None
) -> SavedView:
    """What is None stays. Raises Invalid, also where somebody has deleted it meanwhile."""
    _lock(view.project)
    if not view.project.views.filter(pk=view.pk).exists():
        raise Invalid.field("view", f"The view {view.name} is there no more: somebody has deleted it.")
    fields: dict[str, Any] = {} if shown is None else shown.model_dump() | _columns(shown)
    if name is not None:
        fields["name"] = _free(view.project, name, view)
    if is_default is not None:
        view.project.views.exclude(pk=view.pk).filter(is_default=is_default).update(is_default=False)
        fields["is_default"] = is_default
    SavedView.objects.filter(pk=view.pk).update(**fields, changed_at=Now())
    view.refresh_from_db()
    return view


def delete(view: SavedView) -> None:
    view.delete()


def _columns(shown: Shown) -> dict[str, Any]:
    return {"columns": list(shown.columns)}


def _lock(project: Project) -> None:
    """Two views of one name, or two defaults, at once would collide."""
    Project.objects.select_for_update().get(pk=project.pk)


def _cleaned(name: str) -> str:
    return " ".join(name.replace("\x00", "").split())


def _free(project: Project, name: str, of: SavedView | None = None) -> str:
    name = _cleaned(name)
    if not 1 <= len(name) <= LONGEST_NAME:
        raise Invalid.field("name", f"A view's name has 1 to {LONGEST_NAME} characters, not {len(name)}.")
    same = project.views.filter(name=name).first()
    if same is not None and (of is None or same.pk != of.pk):
        raise Invalid.field("name", f"{project.name} has a view that is called {name!r} already.")
    return name
