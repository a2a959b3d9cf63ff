"""The spec's method, optimizer and schedule, applied to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn, optim

from gpu_jobs import registry
from gpu_jobs.methods.schedules import Moment
from gpu_jobs.spec import Training

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def is_adapter(spec: Training) -> bool:
    """Whether the base stays frozen and only an adapter is saved."""
    return registry.method_of(spec.method).family == "adapters"


def apply_method(spec: Training, model: PreTrainedModel) -> Any:
    """The model with the spec's method on it: some parameters are trained, the others frozen. Raises MethodError."""
    method = registry.method_of(spec.method)
    if method.family == "adapters":
        from peft import get_peft_model

        return get_peft_model(model, method.module.peft_config(spec.method, model))
    return method.module.setup(spec.method, model)


def own_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter once by name, without the frozen doubles that PEFT keeps of layers trained whole."""
    return {name: value for name, value in model.named_parameters() if ".original_module." not in name}


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def build_optimizer(spec: Training, model: nn.Module) -> optim.Optimizer:
    """The spec's optimizer over what is trained."""
    optimizer: optim.Optimizer = registry.method_of(spec.optimizer).module.build(
        spec.optimizer, model.named_parameters()
    )
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
