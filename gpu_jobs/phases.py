"""What making a model smaller will need, by its phases: judged, looked at with samples, retrained. Free of torch.

    FLOPs    the evaluations (before, after each change, of the file), the calibration, every retraining
    memory   that of the phase which needs most

A calibration that walks the blocks passes each of them twice, one that takes gradients counts as three forwards. The
model counts as it came: what a change saves is measured, not planned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpu_jobs import cost, registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.shapes import Config, Shapes, parameters
from gpu_jobs.shrinking import Shrinking
from gpu_jobs.spec import Training

FORMULA = "the evaluations' and calibration's forwards, and all retraining"


def plan(spec: Shrinking, config: Config | None, *, bf16: bool) -> cost.Plan:
    """The plan of a prune or compress job."""
    judging = cost.plan_evaluation(spec, config)
    shapes = parameters(config, spec.resolved_task) if config else None
    if config is None or shapes is None:
        return judging
    trained = [(part, cost.plan_for(part, config, bf16=bf16)) for part in spec.trainings()]
    memory = max([judging.memory, *(plan.memory for _, plan in trained)], key=lambda each: each["total"] or 0)
    return cost.Plan(
        parameters={
            "total": judging.parameters["total"],
            "trainable": max((plan.parameters["trainable"] or 0 for _, plan in trained), default=0),
        },
        memory=memory,
        flops={
            "total": _total(spec, config, shapes, judging, trained),
            "per_step": trained[-1][1].flops["per_step"] if trained else judging.flops["per_step"],
            "formula": FORMULA,
        },
        tokens=sum(plan.tokens for _, plan in trained),
    )


def check(spec: Shrinking, config: Config | None) -> None:
    """Raises MethodError, with the field to change, where the spec's method doesn't fit a model of this config."""
    shapes = parameters(config, spec.resolved_task) if config else None
    if config is not None and shapes is not None:
        spec.check(Anatomy(config, shapes, spec.resolved_task))


def _total(
    spec: Shrinking, config: Config, shapes: Shapes, judging: cost.Plan, trained: Sequence[tuple[Training, cost.Plan]]
) -> int | None:
    """None where nobody knows how large the evaluation split is."""
    every: list[int | str | None] = [_judged(spec, config, judging, trained), _calibration(spec, config, shapes)]
    every += [plan.flops["total"] for _, plan in trained]
    numbers = [value for value in every if isinstance(value, int)]
    return sum(numbers) if len(numbers) == len(every) else None


def _judged(
    spec: Shrinking, config: Config, judging: cost.Plan, trained: Sequence[tuple[Training, cost.Plan]]
) -> int | None:
    """Before, after each change, and of the file; and those during each retraining. Of all data sets."""
    once = judging.flops["total"]
    if not isinstance(once, int):
        return None
    times = (2 + spec.changes) * (1 + len(spec.evaluate))
    return (times + sum(_during(part) for part, _ in trained)) * once


def _during(part: Training) -> int:
    """Evaluations of a training: at its end, and every so many steps."""
    return 1 + ((part.steps - 1) // part.eval_every if part.eval_every else 0)


def _calibration(spec: Shrinking, config: Config, shapes: Shapes) -> int:
    asked = spec.calibration
    length = asked.sequence_length or cost.tokens_per_sample(spec, config)
    return _passes(registry.method_of(spec.method).module) * asked.samples * cost.forward_flops(shapes, config, length)


def _passes(module: Any) -> int:
    """How many forwards the calibration of a method is worth."""
    if hasattr(module, "scores"):
        return 3
    return 2 if getattr(module, "NEEDS", None) or hasattr(module, "blocks") else 0
