"""What is asked of the compare page. It is its address: `url_query` gives it back."""

from __future__ import annotations

from typing import Any, Self
from urllib.parse import urlencode

from django.http import QueryDict
from pydantic import Field, ValidationError, field_validator

from webapp.sweeps.comparison.address import Address
from webapp.sweeps.comparison.measured import MEASURES

ALL = "all"
CHOOSING = ("runs", "project", "q", "status", "kind", "tag", "sweep")


class Asked(Address):
    """`x`: the measure that is drawn, or all of them. `sort`: a column of the table, `-` before it for descending."""

    x: str = Field("", max_length=40)
    sort: str = Field("", max_length=60)
    page: int = Field(1, ge=1, le=10_000)

    @field_validator("x")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name and name != ALL and name not in MEASURES:
            raise ValueError(f"x must be one of {', '.join([ALL, *MEASURES])}, not {name!r}")
        return name

    @classmethod
    def of(cls, data: QueryDict) -> tuple[Self, list[str]]:
        """What the address says, and sentences about what of it can't be: that is left out."""
        told = {name: _text(data, name) for name in cls.model_fields if _text(data, name)}
        try:
            return cls(**told), []
        except ValidationError as error:
            wrong = {str(item["loc"][0]): _sentence(item) for item in error.errors()}
            return cls(**{name: value for name, value in told.items() if name not in wrong}), list(wrong.values())

    def url_query(self, **changes: Any) -> str:
        """The address's query with some of it changed; what is as by default is left out."""
        asked = {**self.model_dump(exclude_defaults=True), **changes}
        return f"?{urlencode({name: value for name, value in asked.items() if value not in ('', None)})}"

    @property
    def is_empty(self) -> bool:
        """Nothing is chosen; a project alone is one to choose from."""
        return not any(getattr(self, name) for name in CHOOSING)


def _text(data: QueryDict, name: str) -> str:
    """Several values of one name are put together: that is how a form sends ticked boxes."""
    return ",".join(data.getlist(name) if name == "runs" else data.getlist(name)[-1:]).replace("\x00", "").strip()


def _sentence(error: Any) -> str:
    field, message = error["loc"][0], str(error["msg"]).removeprefix("Value error, ")
    return f"{message}." if message.startswith(f"{field} ") else f"{field}: {message}, not {error['input']!r:.60}."
