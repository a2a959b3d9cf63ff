"""Mergers that change each task vector by itself and leave the merging to another one. Free of torch.

Which others there are is said here and not read from the registry: it is still reading their family.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.deltas import Chunk, MergerKnobs, Stream
from gpu_jobs.methods.mergers import average, pcb, task_arithmetic, ties

if TYPE_CHECKING:
    from torch import Tensor

Then: TypeAlias = Annotated[average.Knobs | task_arithmetic.Knobs | ties.Knobs | pcb.Knobs, Field(discriminator="name")]
Change: TypeAlias = "Callable[[Chunk], list[Tensor]]"


class FollowedKnobs(MergerKnobs):
    """What a merger can be asked that changes task vectors and leaves merging them to another one."""

    then: Then = Field(
        {"name": "task_arithmetic"}, description="How the changed task vectors are merged.", validate_default=True
    )


def survey(knobs: FollowedKnobs, stream: Stream, change: Change) -> Any:
    """What the other merger must know of the changed task vectors."""
    module = registry.method_of(knobs.then).module
    return module.survey(knobs.then, stream.changed(change)) if hasattr(module, "survey") else None


def combine(knobs: FollowedKnobs, chunk: Chunk, state: Any, change: Change) -> Tensor:
    """What the other merger makes of the changed task vectors, its own scale included."""
    changed = replace(chunk, deltas=change(chunk))
    combined: Tensor = registry.method_of(knobs.then).module.combine(knobs.then, changed, state)
    return combined * knobs.then.scale
