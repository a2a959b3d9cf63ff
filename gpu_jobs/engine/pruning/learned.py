"""Criteria that learn their masks: a training with their hooks, after which the masks are fixed and applied."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from gpu_jobs import registry
from gpu_jobs.contracts import Hooks
from gpu_jobs.engine.pruning import layers, structured
from gpu_jobs.engine.shrinking import Change, Round, Subject
from gpu_jobs.events import Event
from gpu_jobs.kinds import finetune

if TYPE_CHECKING:
    from gpu_jobs.kinds.prune import Spec


def rounds(spec: Spec, training: finetune.Spec | None) -> list[Round]:
    """First what is learned; then the retraining, where there is one."""
    settings = spec.learning or spec.retrain
    assert settings is not None
    learning = spec.training(settings.model_copy(update={"method": _full()}))
    first = Round(_begin(spec), learning, _around(spec), _take(spec))
    return [first] + ([Round(_as_it_is, training)] if training else [])


def _full() -> Any:
    return registry.methods("strategies")["full"].knobs(name="full")


def _begin(spec: Spec) -> Any:
    """Puts the criterion on the model."""

    def change(subject: Subject, change: Change) -> Generator[Event, None, Change]:
        yield from ()
        return Change(spec.method.name, spec.method.pattern, spec.method.sparsity)

    return change


def _around(spec: Spec) -> Any:
    """The criterion's hooks in the place of the method's."""

    def wrap(subject: Subject, change: Change, hooks: Hooks) -> Hooks:
        module = registry.method_of(spec.method).module
        model = module.setup(spec.method, hooks.model)
        found: Hooks = module.Hooks(spec.method, model, hooks.spec)
        return found

    return wrap


def _take(spec: Spec) -> Any:
    """The masks that were learned, applied to the weights that the hooks have left; or units, taken out."""

    def take(subject: Subject, change: Change, hooks: Any) -> Change:
        if spec.method.pattern == "structured":
            structured.remove(subject, hooks.units(), change)
            return change
        change.masks = {name: mask.cpu() for name, mask in hooks.found().items()}
        for name, layer in layers.find(subject.bare, spec.method.targets, spec.seed).items():
            if name in change.masks:
                layer.write(layer.weight * change.masks[name].to(layer.module.weight.device))
        return change

    return take


def _as_it_is(subject: Subject, change: Change) -> Generator[Event, None, Change]:
    yield from ()
    return change
