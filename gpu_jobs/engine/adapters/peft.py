"""The adapters that HF PEFT has: `peft_config(knobs, target) -> PeftConfig` in the method's file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gpu_jobs.anatomy import HEADS, Anatomy, pattern
from gpu_jobs.engine.adapters import rewritten
from gpu_jobs.errors import MethodError

TASK_TYPES = {"causal_lm": "CAUSAL_LM", "sequence_classification": "SEQ_CLS"}


@dataclass(frozen=True)
class Target:
    """Where a configuration applies. `pattern` is "" and `layers` empty for a method that has no `targets`."""

    pattern: str  # the regular expression that adapted modules' full names match
    layers: dict[str, nn.Module]  # the adapted layers
    anatomy: Anatomy
    model: Any
    seed: int

    @property
    def fan_in_fan_out(self) -> bool:
        """Whether weights are stored (in, out), as GPT-2's are."""
        from transformers.pytorch_utils import Conv1D

        return any(isinstance(layer, Conv1D) for layer in self.layers.values())

    @property
    def task_type(self) -> str | None:
        """PEFT's name for the task, None where it has none."""
        return TASK_TYPES.get(self.anatomy.task)


def target(knobs: Any, model: Any, anatomy: Anatomy, seed: int) -> Target:
    """Raises MethodError, naming the layers there are, when no layer is meant."""
    from transformers.pytorch_utils import Conv1D

    if not hasattr(knobs, "targets"):
        return Target("", {}, anatomy, model, seed)
    adapted = pattern(knobs.targets, model.config.model_type)
    layers: dict[str, nn.Module] = {
        name: layer for name, layer in model.named_modules() if isinstance(layer, (nn.Linear, Conv1D))
    }
    found = {name: layer for name, layer in layers.items() if re.fullmatch(adapted, name)}
    if not found:
        raise MethodError(no_target(knobs, layers))
    return Target(adapted, found, anatomy, model, seed)


def no_target(knobs: Any, layers: Any) -> str:
    """The sentence for targets that no layer has."""
    names = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
    return f"method.targets {knobs.targets!r} is in no layer of this model: choose among {names}."


def attach(knobs: Any, module: Any, model: Any, anatomy: Anatomy, seed: int) -> Any:
    """The model inside PEFT's. A classifier's head is trained whole."""
    from peft import get_peft_model

    config = module.peft_config(knobs, target(knobs, model, anatomy, seed))
    heads = [name for name in HEADS if hasattr(model, name)]
    if heads and hasattr(config, "modules_to_save") and not config.modules_to_save:
        config.modules_to_save = heads
    try:
        wrapped = get_peft_model(model, config)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise MethodError(
            f"method {knobs.name!r} doesn't fit this model: {' '.join(str(error).split())[:300]}"
        ) from error
    if getattr(module, "REWRITES", False) and config.init_lora_weights is not True:  # else its hooks do, from data
        rewritten.remember(wrapped)
    return wrapped


def save(folder: Path, model: Any, weights: dict[str, Tensor] | None, base: str) -> None:
    """Writes the adapter in PEFT's format; what began with a part of its base, as a plain LoRA for the whole one."""
    own = model.active_peft_config
    own.base_model_name_or_path = base
    config, state = rewritten.plain(model, weights) if rewritten.is_rewritten(model) else (own, weights)
    model.peft_config[model.active_adapter] = config
    try:
        model.save_pretrained(folder, state_dict=state, save_embedding_layers=False)
    finally:
        model.peft_config[model.active_adapter] = own


def unload(model: Any) -> Any:
    """The model that PEFT holds, without the adapter."""
    if hasattr(model.base_model, "unload"):
        return model.unload()
    if hasattr(model.base_model, "disable_adapter_layers"):
        model.base_model.disable_adapter_layers()  # gives replaced layers back
    return model.get_base_model()
