"""Expression: a law that you type yourself.

    E + A / N**alpha + B / D**beta

Names are parameters where `unknowns` has them, else columns. There are + - * / **, exp, log, sqrt, abs, min and max.
Derivatives are exact (forward mode), so it is fitted as every other law.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gpu_jobs import formula
from gpu_jobs.errors import MethodError
from gpu_jobs.law import LawKnobs, Parameter


class Unknown(BaseModel):
    """One parameter of the expression."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="As it stands in the expression.")
    log: bool = Field(False, description="It is positive, and fitted as its logarithm.")
    starts: list[float] = Field(
        min_length=1, max_length=50, description="Values to start from; logarithms where `log` is set."
    )


class Knobs(LawKnobs):
    name: Literal["expression"]
    expression: str = Field(
        min_length=1, max_length=formula.LONGEST, description="The right-hand side, like E + A / N**alpha."
    )
    unknowns: list[Unknown] = Field(min_length=1, max_length=20, description="The parameters in it.")
    y: str = Field("loss", min_length=1, max_length=100, description="The column that is explained.")

    @model_validator(mode="after")
    def _reads(self) -> Self:
        try:
            names = formula.parse(self.expression).names
        except MethodError as error:
            raise ValueError(f"expression: {error}") from error
        unknown = [each.name for each in self.unknowns]
        if len(set(unknown)) < len(unknown):
            raise ValueError(f"unknowns: each name once, not {', '.join(unknown)}")
        if missing := [name for name in unknown if name not in names]:
            raise ValueError(f"unknowns: {missing[0]!r} is not in the expression, which has {', '.join(names)}")
        if self.y in names:
            raise ValueError(f"expression: {self.y!r} is what it explains and can't stand in it")
        return self


def parameters(knobs: Knobs) -> list[Parameter]:
    return [Parameter(each.name, "", each.log) for each in knobs.unknowns]


def variables(knobs: Knobs) -> dict[str, str]:
    unknown = {each.name for each in knobs.unknowns}
    return {name: "" for name in formula.parse(knobs.expression).names if name not in unknown}


def target(knobs: Knobs) -> str:
    return knobs.y


def predict(knobs: Knobs, params: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """(batch, points)"""
    return formula.parse(knobs.expression).value({**variables, **params})


def starts(knobs: Knobs, variables: Mapping[str, Any], target: Any) -> dict[str, list[float]]:
    return {each.name: each.starts for each in knobs.unknowns}
