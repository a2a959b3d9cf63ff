"""What to know of a ladder before it is queued, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from webapp.runs.queries import device_sizes
from webapp.scaling.definition import OPTIMA, Definition

if TYPE_CHECKING:
    from webapp.scaling.proposals import Proposed

ADVISED_REPEATS = 4.0  # up to there repeated data are worth nearly what new ones are (Muennighoff et al. 2023)
FEW_STEPS = 50


def cautions(definition: Definition, base: Mapping[str, Any], rungs: Sequence[Proposed]) -> list[str]:
    return [*_few_points(definition, rungs), *_of_data(base, rungs), *_short(rungs), *_large(rungs)]


def _few_points(definition: Definition, rungs: Sequence[Proposed]) -> Iterator[str]:
    fitted, needed = sum(not each.is_held_out for each in rungs), len(definition.law.free) + 2
    if fitted < needed and definition.law.target != OPTIMA:
        yield (
            f"Law {definition.law.name!r} needs {needed} fitted runs, and this has {fitted}: there will be no fit. Ask "
            "for more, or hold fewer out."
        )


def _of_data(base: Mapping[str, Any], rungs: Sequence[Proposed]) -> Iterator[str]:
    repeated = [each.repeats for each in rungs if each.repeats is not None and each.repeats > ADVISED_REPEATS]
    if repeated:
        yield (
            f"Data are read more than {ADVISED_REPEATS:g} times by {_runs(len(repeated))}, up to {max(repeated):.1f} "
            "times, and the law takes every token for a new one. Take more data, or a smaller target."
        )
    if base["eval_batches"]:
        yield (
            f"The loss is over {base['eval_batches']} batches, whose size differs from rung to rung: with eval_batches "
            "0 all are judged by the same text."
        )


def _short(rungs: Sequence[Proposed]) -> Iterator[str]:
    steps = [each.plan["steps"] for each in rungs if each.plan["steps"] < FEW_STEPS]
    if steps:
        yield f"Fewer than {FEW_STEPS} steps in {_runs(len(steps))}, the shortest has {min(steps)}."


def _large(rungs: Sequence[Proposed]) -> Iterator[str]:
    """Rungs that the largest device of a living worker does not hold."""
    room = max((device.bytes for device in device_sizes()), default=None)
    needs = [each.memory_bytes for each in rungs if room and each.memory_bytes and each.memory_bytes > room]
    if needs and room is not None:
        most = max(needs) / 2**30
        yield f"Up to {most:.1f} GiB are needed by {_runs(len(needs))}; the largest device has {room / 2**30:.1f} GiB."


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
