"""What of a spec can change while training goes on from a checkpoint; the rest a population can't search.

Whether a knob changes the shapes of what is trained, or of what the optimizer keeps of it, is counted, not listed: by
the plan of a small model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpu_jobs import cost, registry
from gpu_jobs.methods.schedules import Moment
from gpu_jobs.sources import BUILTIN_MODELS
from gpu_jobs.spec import Training
from webapp.accounts.errors import FieldError, Invalid
from webapp.runs import specs
from webapp.runs.actions.forking import FIXED, NAMED
from webapp.runs.merging import merged
from webapp.sweeps.definition import Choices, Dimension, Space
from webapp.sweeps.specs import nested

SAMPLED = 50  # steps of an interval at which a schedule is looked at


def errors(space: Space, spec: Mapping[str, Any], interval_steps: int) -> Iterator[FieldError]:
    """Everything that keeps runs of this spec from going on from each other every `interval_steps`."""
    for path, dimension in space.items():
        if reason := _refusal(path, dimension, spec):
            yield {"loc": ["search", "space", path], "msg": f"{path} can't change while training goes on: {reason}."}
    if not spec.get("checkpoint_at_end"):
        msg = "checkpoint_at_end must be true: members go on from each other's last step."
        yield {"loc": ["spec", "checkpoint_at_end"], "msg": msg}
    if any(_depends_on_steps(changed, interval_steps) for changed in _variants(space, spec)):
        msg = "schedule must not depend on steps, or the rate would fall in every interval: choose constant."
        yield {"loc": ["spec", "schedule"], "msg": msg}


def _refusal(path: str, dimension: Dimension, spec: Mapping[str, Any]) -> str | None:
    top = path.partition(".")[0]
    if path == "steps":
        return "the interval sets it; search over something else"
    if top in FIXED or path in {f"{field}.name" for field in NAMED}:
        return "the checkpoint depends on it; set it in the spec"
    variants = list(_variants({path: dimension}, spec)) if top in ("method", "optimizer") else []
    if len({_planned(changed).parameters["trainable"] for changed in variants}) > 1:
        return "it changes the shapes of what is trained; set it in the spec"
    if len({_planned(changed).memory["optimizer"] for changed in variants}) > 1:
        return "it changes what the optimizer keeps; set it in the spec"
    return None


def _variants(space: Space, spec: Mapping[str, Any]) -> Iterator[Training]:
    """The spec, and the spec with each bound and choice; those that are invalid are told elsewhere."""
    changes = [{path: value} for path, dimension in space.items() for value in _values(dimension)]
    for change in [{}, *changes]:
        try:
            parsed = specs.checked(merged(dict(spec), nested(change)))
        except Invalid:
            continue
        if isinstance(parsed, Training):
            yield parsed


def _values(dimension: Dimension) -> list[Any]:
    if isinstance(dimension, Choices):
        return list(dimension.choices)
    return [int(value) if value.is_integer() else value for value in (dimension.low, dimension.high)]


def _planned(spec: Training) -> cost.Plan:
    """The plan, with a small model in place of one that only the worker knows."""
    task = spec.resolved_task
    small = BUILTIN_MODELS["nano-vit" if task == "image_classification" else "nano"]
    labels = None if task == "causal_lm" else 2
    config = cost.config_of(spec, {}) or small.config(vocab_size=cost.BYTE_VOCAB, labels=labels)
    return cost.plan_for(spec, config, bf16=False)


def _depends_on_steps(spec: Training, interval_steps: int) -> bool:
    steps = range(0, interval_steps, max(1, interval_steps // SAMPLED))
    return any(_factor(spec, step, interval_steps) != _factor(spec, step, 2 * interval_steps) for step in steps)


def _factor(spec: Training, step: int, steps: int) -> float:
    tokens, peak = step * spec.batch_size * spec.sequence_length, spec.optimizer.lr  # type: ignore[attr-defined]
    at = Moment(step, steps, tokens, spec.batch_size, peak)
    return float(registry.method_of(spec.schedule).module.factor(spec.schedule, at))
