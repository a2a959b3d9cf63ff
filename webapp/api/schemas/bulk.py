"""One thing done to many runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StrictInt, model_validator

from webapp.api.schemas.common import Input, Output
from webapp.runs.selection import MOST_RUNS
from webapp.runs.tables import MOST_CHARACTERS, WORDS


class Matching(Input):
    """All of them together must hold; without any, every run of the project is meant."""

    q: str = Field("", max_length=MOST_CHARACTERS, description=WORDS)
    status: str = Field("", description="Statuses, and the groups active, waiting, final, separated by commas.")
    tag: str = Field("", description="Tags that it must all have, separated by commas.")
    kind: str = Field("", description="Kinds, separated by commas.")
    queue: str = ""


class BulkInput(Input):
    """`runs` by their numbers, or all that are `matching`: one of both."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"project": "first", "action": "tag", "tag": "keep", "runs": [12, 13]}]}
    )

    project: str = Field(description="Its slug.")
    action: Literal["cancel", "pause", "resume", "requeue", "delete", "tag"]
    tag: str = Field("", description="For the action tag: the tag that is added.")
    runs: list[Annotated[StrictInt, Field(ge=1, lt=2**63)]] | None = Field(None, min_length=1, max_length=MOST_RUNS)
    matching: Matching | None = None
    digest: str | None = Field(None, max_length=64, description="That of a dry run; needed with `matching`.")
    dry_run: bool = Field(False, description="Say how many runs are meant, and change nothing.")

    @model_validator(mode="after")
    def is_whole(self) -> BulkInput:
        if (self.runs is None) == (self.matching is None):
            raise ValueError("Name either runs or what they are matching.")
        if bool(self.tag.strip()) != (self.action == "tag"):
            raise ValueError("The action tag needs a tag, and no other takes one.")
        return self


class BulkReply(Output):
    matched: int = Field(description="Runs that are meant.")
    digest: str = Field(description="Changes when other runs are meant.")
    done: int = Field(description="Runs to which it was done.")
    refused: list[str] = Field(description="Of each run that did not allow it, why.")
