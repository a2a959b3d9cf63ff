"""The shapes that every resource shares."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from webapp.api.errors import Invalid
from webapp.runs.specs import sentence

NUMBER: dict[str, Any] = {"anyOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]}

Number = Annotated[float, WithJsonSchema(NUMBER)]
"""A float; what JSON can't hold is the string "NaN", "Infinity" or "-Infinity"."""

Loc = list[str | int]


class Input(BaseModel):
    """A request body: unknown fields are refused, so that a misspelled one is never silently ignored."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)

    @classmethod
    def of(cls, body: Any) -> Self:
        """From a body that did not come through ninja; raises the same Invalid."""
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            raise Invalid(
                [{"loc": list(item["loc"]), "msg": sentence(item)} for item in error.errors(include_url=False)]
            ) from None


class Output(BaseModel):
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class FieldError(Output):
    loc: Loc = Field(
        description="Path to the field within the body, or the parameter's name.", examples=[["spec", "steps"]]
    )
    msg: str = Field(description="The rule, the value and the way out: the sentence that the form shows.")


class ErrorReply(Output):
    """Every error of the API looks like this."""

    detail: str = Field(examples=["There is no run 7."])
    errors: list[FieldError] = Field(default=[], description="The fields that are wrong, if any are to be named.")
