"""Pretrain: train a new model from random weights, or go on training all weights of an earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias

from gpu_jobs import registry
from gpu_jobs.context import Context
from gpu_jobs.events import Event
from gpu_jobs.spec import Training, knob

if TYPE_CHECKING:
    StrategyKnobs: TypeAlias = registry.Knobs
else:
    StrategyKnobs = registry.union("strategies")


class Spec(Training):
    kind: Literal["pretrain"]
    method: StrategyKnobs = knob({"name": "full"}, "Which weights are trained.", "Method", validate_default=True)


def run(spec: Spec, context: Context) -> Iterator[Event]:
    """Trains, and leaves the model in `model/`."""
    from gpu_jobs import engine

    return engine.run(spec, context)
