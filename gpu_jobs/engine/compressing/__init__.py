"""The job of kind compress: the spec's compressor, and a training of the new form where it has one to learn."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from gpu_jobs import registry
from gpu_jobs.context import Context
from gpu_jobs.contracts import Hooks
from gpu_jobs.engine import adapters, compressed
from gpu_jobs.engine.shrinking import Change, Round, Subject, shrink
from gpu_jobs.engine.shrinking.subject import load_model
from gpu_jobs.events import Event, Log

if TYPE_CHECKING:
    from gpu_jobs.kinds.compress import Spec


def compress(spec: Spec, context: Context) -> Iterator[Event]:
    """Yields the events of the run. Raises JobError."""
    return shrink(spec, context, rounds(spec))


def rounds(spec: Spec) -> list[Round]:
    """The change and its retraining; between them the training by which a form is learned."""
    training, change = spec.training(spec.retrain) if spec.retrain else None, _change(spec)
    settings = spec.learning or spec.retrain
    if hasattr(registry.method_of(spec.method).module, "Hooks") and settings:
        learning = spec.training(settings.model_copy(update={"method": _full()}))
        first = Round(change, learning, _around(spec))
        return [first] + ([Round(_as_it_is, training)] if training else [])
    if training and _codes(spec):
        return [Round(change, training, enforce=_again(spec))]
    return [Round(change, training)]


def _codes(spec: Spec) -> bool:
    return getattr(registry.method_of(spec.method).module, "RETRAINS", None) == "adapters"


def _full() -> Any:
    return registry.methods("strategies")["full"].knobs(name="full")


def _change(spec: Spec) -> Any:
    """What the spec's method does to the model."""

    def change(subject: Subject, _: Change) -> Generator[Event, None, Change]:
        spec.check(adapters.anatomy_of(subject.bare, spec.resolved_task))
        yield Log(message=f"Compressing by {spec.method.name}.")
        subject.bare.to(subject.device).eval()
        done = registry.method_of(spec.method).module.compress(spec.method, subject)
        subject.bare.requires_grad_(False)
        if spec.retrain and _codes(spec):  # an adapter is trained on the rounded weights as ordinary numbers
            compressed.expand(subject.bare)
        result = {"layers": done.layers, **done.result}
        return Change(spec.method.name, facts={"result": result})

    return change


def _around(spec: Spec) -> Any:
    """The method's hooks, which are shown the model as it came."""

    def wrap(subject: Subject, _: Change, hooks: Hooks) -> Hooks:
        teacher = load_model(spec, subject.context, subject.data)
        found: Hooks = registry.method_of(spec.method).module.Hooks(spec.method, hooks.model, hooks.spec, teacher)
        return found

    return wrap


def _again(spec: Spec) -> Any:
    """Compresses once more what an adapter was merged into, and says what that cost."""

    def again(subject: Subject, change: Change) -> dict[str, Any] | None:
        before = subject.judge()
        done = registry.method_of(spec.method).module.compress(spec.method, subject)
        change.facts["result"] = {"layers": done.layers, **done.result}
        entries = sum(layer["values"] for layer in done.layers.values())
        return {"entries": entries, "before": before, "after": subject.judge()}

    return again


def _as_it_is(subject: Subject, change: Change) -> Generator[Event, None, Change]:
    yield from ()
    return change
