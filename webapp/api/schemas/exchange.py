"""Sweeps that come from other tools."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from webapp.api.schemas.common import Input, Output


class ImportInput(Input):
    format: Literal["optuna", "wandb"] = Field(description="Of the file.")
    project: str = Field(description="The project's slug.")
    name: str = Field("", description="The study's when empty.")
    study: str = Field("", description="Which one, where the Optuna storage holds several.")
    spec: str = Field("", description="The base spec, as JSON: neither tool knows it. Constants of the file go in.")
    names: str = Field("", description='Optuna\'s names of parameters by our paths, as JSON: {"lr": "optimizer.lr"}.')
    changes: str = Field("", description="Fields of POST /sweeps that are to be different, as JSON.")
    review: bool = Field(False, description="Create nothing; answer what would be.")


class ImportReview(Output):
    """What an import would create; change it and send it to POST /sweeps, or import again without `review`."""

    body: dict[str, Any]
    observations: int = Field(description="Trials of the study that come along when it is imported.")
    notes: list[str] = Field(description="What has no counterpart here.")
