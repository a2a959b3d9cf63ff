"""Criteria that learn what goes: a training with their hooks, after which the masks are fixed and applied."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from gpu_jobs import registry
from gpu_jobs.contracts import Hooks
from gpu_jobs.engine import adapters
from gpu_jobs.engine.pruning import layers, scoring, structured
from gpu_jobs.engine.shrinking import Change, Round, Subject
from gpu_jobs.engine.shrinking.retraining import Around
from gpu_jobs.events import Event
from gpu_jobs.kinds import finetune
from gpu_jobs.prunable import check

if TYPE_CHECKING:
    from gpu_jobs.kinds.prune import Spec


def rounds(spec: Spec, training: finetune.Spec | None) -> list[Round]:
    """First what is learned; then the retraining, where there is one. Nothing is learned of a sparsity of 0."""
    if spec.method.sparsity == 0:
        return [Round(_nothing(spec), training)]
    first = Round(None, spec.learned_by(), _around(spec), _take(spec))
    return [first, *([Round(None, training)] if training else [])]


def _changed(spec: Spec) -> Change:
    return Change(spec.method.name, spec.method.pattern, spec.method.sparsity)


def _nothing(spec: Spec) -> Callable[[Subject, Change], Generator[Event, None, Change]]:
    """All is kept."""

    def change(subject: Subject, change: Change) -> Generator[Event, None, Change]:
        new = _changed(spec)
        if spec.method.pattern == "structured":
            new.facts["removed"] = 0.0
        else:
            new.masks = yield from scoring.masks(subject, spec, 0)
        return new

    return change


def _around(spec: Spec) -> Around:
    """The criterion's hooks in the place of the method's."""

    def wrap(subject: Subject, change: Change, hooks: Hooks) -> Hooks:
        module, knobs, model = registry.method_of(spec.method).module, spec.method, hooks.model
        check(knobs, spec.allocation, adapters.anatomy_of(model, spec.resolved_task))
        if knobs.pattern == "structured":
            structured.check(model, knobs.unit)
        found = layers.find(model, knobs.targets, spec.seed)
        for _ in scoring.seen(subject, found, module.needs(knobs) if hasattr(module, "needs") else None):
            pass
        learning: Hooks = module.Hooks(knobs, module.setup(knobs, model, found), hooks.spec)
        return learning

    return wrap


def _take(spec: Spec) -> Callable[[Subject, Change, Any], Change]:
    """The masks that were learned, applied to the weights that the hooks have left; or units, taken out."""

    def take(subject: Subject, change: Change, hooks: Any) -> Change:
        new = _changed(spec)
        new.facts |= change.facts
        if spec.method.pattern == "structured":
            structured.remove(subject, hooks.units(), new)
            return new
        new.masks = {name: mask.cpu() for name, mask in hooks.found().items()}
        for name, layer in layers.find(subject.bare, spec.method.targets, spec.seed).items():
            layer.write(layer.weight * new.masks[name].to(layer.module.weight.device))
        return new

    return take
