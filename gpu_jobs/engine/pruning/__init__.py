"""The job of kind prune: rounds of pruning by the spec's criterion."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from gpu_jobs import registry
from gpu_jobs.context import Context
from gpu_jobs.engine import adapters
from gpu_jobs.engine.pruning import gradual, learned, scoring, structured
from gpu_jobs.engine.pruning.masks import Masks
from gpu_jobs.engine.shrinking import Change, Round, Subject, shrink
from gpu_jobs.events import Event
from gpu_jobs.prunable import check

if TYPE_CHECKING:
    from gpu_jobs.kinds.prune import Spec


def prune(spec: Spec, context: Context) -> Iterator[Event]:
    """Yields the events of the run. Raises JobError."""
    return shrink(spec, context, rounds(spec))


def rounds(spec: Spec) -> list[Round]:
    """What is pruned and trained, one after the other."""
    training = spec.training(spec.retrain) if spec.retrain else None
    if hasattr(registry.method_of(spec.method).module, "Hooks"):
        return learned.rounds(spec, training)
    if spec.schedule.name == "gradual":
        return [Round(gradual.begin(spec), training, gradual.around(spec))]
    if spec.schedule.name == "iterative":
        return _iterative(spec)
    return [Round(at(spec, spec.method.sparsity), training)]


def _iterative(spec: Spec) -> list[Round]:
    """After round r of n a share (1 - s)^(r / n) is left. With rewind, one training comes before them all."""
    assert spec.retrain is not None
    assert spec.schedule.name == "iterative"
    training, count = spec.training(spec.retrain), spec.schedule.rounds
    shares = [1 - (1 - spec.method.sparsity) ** (number / count) for number in range(1, count + 1)]
    if not spec.schedule.rewind:
        return [Round(at(spec, share), training) for share in shares]
    return [Round(_untouched, training), *(Round(rewound(spec, share), training) for share in shares)]


def _untouched(subject: Subject, change: Change) -> Generator[Event, None, Change]:
    """The model as it came, whose weights are what later rounds go back to."""
    yield from ()
    return change


class at:  # noqa: N801 - called like a function
    """Prunes to a sparsity: what is zero already stays so."""

    def __init__(self, spec: Spec, sparsity: float) -> None:
        self.spec, self.sparsity = spec, sparsity

    def __call__(self, subject: Subject, change: Change) -> Generator[Event, None, Change]:
        knobs = self.spec.method
        check(knobs, self.spec.allocation, adapters.anatomy_of(subject.bare, self.spec.resolved_task))
        new = Change(knobs.name, knobs.pattern, knobs.sparsity)
        if knobs.pattern == "structured":
            yield from structured.shrink(subject, self.spec, new)
        else:
            new.masks = yield from scoring.masks(subject, self.spec, self.sparsity)
        return new


class rewound(at):  # noqa: N801 - called like a function
    """Prunes the trained model, then goes back to the weights that it began with (Frankle and Carbin 2019)."""

    def __call__(self, subject: Subject, change: Change) -> Generator[Event, None, Change]:
        new = yield from super().__call__(subject, change)
        rewind(subject, new.masks)
        return new


def rewind(subject: Subject, masks: Masks) -> None:
    """The weights of the spec's model, masked."""
    from gpu_jobs.engine.shrinking.retraining import apply
    from gpu_jobs.engine.shrinking.subject import load_model

    first = load_model(subject.spec, subject.context, subject.data)
    subject.bare.cpu().load_state_dict(first.state_dict())
    subject.bare.requires_grad_(True)
    apply(subject.bare, dict(masks))
    subject.bare.requires_grad_(False)
