"""What compressors share: how many ranks a layer keeps, and what is told of each layer. Free of torch."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy, Layer, Targets
from gpu_jobs.errors import MethodError


class Done(NamedTuple):
    """What a compressor did: facts of each layer by its name, and more keys of the run's result."""

    layers: dict[str, dict[str, Any]]
    result: dict[str, Any] = {}


class RankKnobs(registry.Knobs):
    """Two factors in the place of a matrix."""

    ratio: float = Field(
        2.0,
        gt=1,
        le=1000,
        description="How many times fewer weights a layer has: rank = in out / (ratio (in + out)).",
    )
    rank: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="The same rank for all layers, instead of ratio.",
        json_schema_extra={"advanced": True},
    )
    targets: Targets = Field(
        "all", description="Which layers: attention, mlp, all, or names of modules (q_proj, v_proj)."
    )


def rank_of(knobs: RankKnobs, outputs: int, inputs: int) -> int:
    """The rank that a matrix of this size gets."""
    return knobs.rank or max(1, int(outputs * inputs / (knobs.ratio * (outputs + inputs))))


def layers_of(targets: Any, anatomy: Anatomy) -> list[Layer]:
    """The layers that `targets` names. Raises MethodError where there are none."""
    found = anatomy.layers(targets)
    if not found:
        raise MethodError(f"method.targets {targets!r} is in no layer of this model.", "method.targets")
    return found


def check_ranks(knobs: RankKnobs, anatomy: Anatomy) -> None:
    """Raises MethodError for a rank whose factors hold as much as the matrix."""
    for layer in layers_of(knobs.targets, anatomy):
        rank, whole = rank_of(knobs, layer.outputs, layer.inputs), layer.outputs * layer.inputs
        factors = rank * (layer.outputs + layer.inputs)
        if factors >= whole:
            raise MethodError(
                f"method.rank {rank} saves nothing: {rank} x ({layer.outputs} + {layer.inputs}) = {factors:,} weights "
                f"in the place of the {whole:,} of {layer.name}; lower it.",
                "method.rank",
            )
