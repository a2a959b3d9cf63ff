"""What can be wrong with an account or a project. Each message names the field, the rule and the value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict


class FieldError(TypedDict):
    """One thing wrong with the input: where (`loc`, as pydantic spells it) and a sentence."""

    loc: list[str | int]
    msg: str


class Invalid(Exception):  # noqa: N818 - reads as what it tells
    """Bad input, told field by field. Nothing was written."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(error["msg"] for error in errors))
        self.errors: list[FieldError] = list(errors)

    @classmethod
    def field(cls, name: str, message: str) -> Invalid:
        return cls([{"loc": [name], "msg": message}])


@contextmanager
def below(*place: str | int) -> Iterator[None]:
    """What is wrong inside is wrong with a part of this place: each `loc` begins with it."""
    try:
        yield
    except Invalid as error:
        error.errors = [{"loc": [*place, *item["loc"]], "msg": item["msg"]} for item in error.errors]
        raise


class LastOwner(Invalid):
    """A project must keep somebody who can manage it."""

    def __init__(self, project: str, username: str) -> None:
        message = f"{username} is the last owner of {project}; make somebody else an owner first."
        super().__init__([{"loc": ["role"], "msg": message}])
