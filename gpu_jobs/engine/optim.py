"""The spec's method, optimizer and schedule, applied to a model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from torch import nn, optim

from gpu_jobs import registry
from gpu_jobs.anatomy import adapter_of
from gpu_jobs.contracts import Hooks, Objective
from gpu_jobs.engine import adapters
from gpu_jobs.errors import MethodError
from gpu_jobs.methods.schedules import Moment
from gpu_jobs.spec import Training

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def is_adapter(spec: Training) -> bool:
    """Whether the base stays frozen and only what was added to it is saved; IS_SIDE marks a strategy that adds.

    ENDS_PLAIN marks one that leaves a plain model, though it trains an adapter.
    """
    module = registry.method_of(spec.method).module
    if getattr(module, "ENDS_PLAIN", False):
        return False
    return adapter_of(spec.method) is not None or getattr(module, "IS_SIDE", False)


def apply_method(spec: Training, model: PreTrainedModel) -> Any:
    """The model with the spec's method on it: some parameters are trained, the others frozen. Raises MethodError."""
    _check_parallel(spec)
    return adapters.put(spec.method, model, task=spec.resolved_task, seed=spec.seed)


def _check_parallel(spec: Training) -> None:
    can = getattr(registry.method_of(spec.method).module, "PARALLEL", ("ddp", "fsdp"))
    if spec.gpus > 1 and spec.parallel not in can:
        remedy = f"set parallel to {' or '.join(map(repr, can))}" if can else "set gpus to 1"
        raise MethodError(
            f"method {spec.method.name!r} can't be shared over {spec.gpus} GPUs by {spec.parallel!r}: {remedy}."
        )


def base_of(spec: Training, model: nn.Module) -> AbstractContextManager[None] | None:
    """The block in which the model, with its method just put on, computes what its base does; None where it can't."""
    module = registry.method_of(adapter_of(spec.method) or spec.method).module
    if getattr(module, "STARTS_AT_BASE", True):
        return nullcontext()
    is_beside = adapter_of(spec.method) is not None and getattr(module, "KEEPS_BASE", not hasattr(module, "REWRITES"))
    if not is_beside or hasattr(module, "attach") or not adapters.can_switch_off(model):
        return None
    return adapters.switched_off(model)


def build_hooks(spec: Training, model: nn.Module) -> Hooks:
    """What the spec's method does in the loop: its own `Hooks`, else its adapter's. Raises MethodError for both."""
    found = {
        knobs.name: (knobs, registry.method_of(knobs).module.Hooks)
        for knobs in (spec.method, adapter_of(spec.method))
        if knobs is not None and hasattr(registry.method_of(knobs).module, "Hooks")
    }
    if len(found) > 1:
        strategy, adapter = found
        raise MethodError(f"method {strategy!r} can't train adapter {adapter!r}, which changes in the loop by itself.")
    for knobs, own in found.values():
        hooks: Hooks = own(knobs, model, spec)
        return hooks
    return Hooks(spec.method, model, spec)


def build_objective(spec: Training) -> Objective:
    """What the spec minimises."""
    found: Objective = registry.method_of(spec.objective).module.Objective(spec.objective, spec)
    return found


def own_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter once by name, without the frozen doubles that PEFT keeps of layers trained whole."""
    return {name: value for name, value in model.named_parameters() if ".original_module." not in name}


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def build_optimizer(spec: Training, parameters: Mapping[str, nn.Parameter]) -> optim.Optimizer:
    """The spec's optimizer over these parameters."""
    optimizer: optim.Optimizer = registry.method_of(spec.optimizer).module.build(spec.optimizer, parameters.items())
    return optimizer


def set_rate(spec: Training, optimizer: optim.Optimizer, step: int, tokens: int | None = None) -> float:
    """Sets and returns the learning rate of update `step`, counted from 0, before which `tokens` were read.

    Without `tokens`, they are those of a text that was read from step 0 under this spec. A group with an "lr_factor"
    gets that many times the rate.
    """
    if tokens is None:
        tokens = step * spec.batch_size * spec.sequence_length
    peak = spec.optimizer.lr  # type: ignore[attr-defined]
    at = Moment(step, spec.steps, tokens, spec.batch_size, peak)
    rate = float(peak * registry.method_of(spec.schedule).module.factor(spec.schedule, at))
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_factor", 1.0)
    return rate
