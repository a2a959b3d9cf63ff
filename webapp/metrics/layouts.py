"""How charts are drawn and which come first: in the address, or saved in a project under a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from django.db import transaction
from django.http import QueryDict
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, User
from webapp.metrics.axes import PATTERN
from webapp.metrics.models import NAME_LENGTH, ChartLayout

MOST_NAMES = 40
LISTS = ("pin", "log", "wide")
MOST_LAYOUTS = 50
Names = list[Annotated[str, Field(max_length=NAME_LENGTH)]]


class Settings(BaseModel):
    """What an address says of charts: `?x=tokens&smoothing=0.9&log_y=1&pin=eval/loss`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    x: str = Field("step", pattern=PATTERN)
    smoothing: float = Field(0.6, ge=0, lt=1)
    log_x: bool = False
    log_y: bool = False
    clip: bool = Field(False, description="Whether y leaves out what is far from nearly all of the values.")
    pin: Names = Field([], max_length=MOST_NAMES, description="Metrics whose charts come first.")
    log: Names = Field([], max_length=MOST_NAMES, description="Metrics whose y is drawn the other way.")
    wide: Names = Field([], max_length=MOST_NAMES, description="Metrics whose charts take the whole width.")

    @classmethod
    def of(cls, data: QueryDict) -> Self | None:
        """None when the address says nothing of it; what can't be is left out."""
        told: dict[str, Any] = {name: data[name] for name in cls.model_fields if name not in LISTS and data.get(name)}
        for field in LISTS:
            if names := [name for name in data.getlist(field) if name and "\x00" not in name]:
                told[field] = names[:MOST_NAMES]
        return cls.lenient(told) if told else None

    @classmethod
    def lenient(cls, told: Mapping[str, Any]) -> Self:
        try:
            return cls(**told)
        except ValidationError as error:
            wrong = {str(item["loc"][0]) for item in error.errors()}
            return cls(**{name: value for name, value in told.items() if name not in wrong})


def layouts_of(project: Project) -> list[ChartLayout]:
    return list(project.chart_layouts.all())


def settings_of(layout: ChartLayout) -> Settings:
    return Settings.lenient(layout.settings)


def chosen(data: QueryDict, layouts: Sequence[ChartLayout]) -> tuple[ChartLayout | None, Settings | None]:
    """What an address shows: its own settings, else those of the layout it names, else of the project's default."""
    named = data.get("layout", "")
    layout = next((one for one in layouts if str(one.pk) == named or (not named and one.is_default)), None)
    if (told := Settings.of(data)) is not None:
        return layout if named else None, told
    return layout, settings_of(layout) if layout else None


@transaction.atomic
def save_layout(
    project: Project, user: User, name: str, settings: Settings, *, is_default: bool = False
) -> ChartLayout:
    """Under a new name, or in place of the layout that has it. Raises Invalid."""
    name = " ".join(name.replace("\x00", "").split())
    if not name or len(name) > 60:
        raise Invalid.field("name", f"A layout's name has 1 to 60 characters, not {len(name)}.")
    Project.objects.select_for_update().get(pk=project.pk)  # two default layouts at once would collide
    others = project.chart_layouts.exclude(name=name)
    if others.count() >= MOST_LAYOUTS:
        raise Invalid.field("name", f"A project has at most {MOST_LAYOUTS} layouts: delete one first.")
    if is_default:
        others.update(is_default=False)
    fields = {"settings": settings.model_dump(exclude_defaults=True), "is_default": is_default, "created_by": user}
    layout, _ = ChartLayout.objects.update_or_create(project=project, name=name, defaults=fields)
    return layout


def delete_layout(layout: ChartLayout) -> None:
    layout.delete()
