"""Adapters that begin with a part of their base: LoRA beside the rest, W = W_rest + s B0 A0.

They are saved as what they changed, s (B A - B0 A0), a plain LoRA of twice the rank on the original W.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

START = "taken_out"  # where a layer keeps (A0, B0), on the CPU


def lora_layers(model: nn.Module) -> dict[str, Any]:
    """PEFT's LoRA layers by name."""
    from peft.tuners.lora import LoraLayer

    return {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}


def factors(layer: Any) -> tuple[nn.Parameter, nn.Parameter]:
    """A (r, in) and B (out, r), the parameters themselves."""
    return layer.lora_A["default"].weight, layer.lora_B["default"].weight


def remember(model: nn.Module) -> None:
    """Keeps A and B as what was taken out of the base."""
    for layer in lora_layers(model).values():
        setattr(layer, START, tuple(value.detach().cpu().clone() for value in factors(layer)))


@torch.no_grad()
def begin(layer: Any, a: Tensor, b: Tensor) -> None:
    """Lets a layer whose base is whole begin with A and B, and takes them out of the base."""
    for value, wanted in zip(factors(layer), (a, b), strict=True):
        value.copy_(wanted)
    setattr(layer, START, (a.detach().cpu().clone(), b.detach().cpu().clone()))
    _add(layer, -1.0)


@torch.no_grad()
def restore(model: nn.Module) -> None:
    """Gives the base its own weights back, up to rounding, where a part was taken out."""
    for layer in lora_layers(model).values():
        if hasattr(layer, START):
            _add(layer, 1.0)
            delattr(layer, START)


def _add(layer: Any, sign: float) -> None:
    """Adds sign s B0 A0 to the base's weight."""
    a, b = getattr(layer, START)
    weight = layer.get_base_layer().weight
    change = layer.scaling["default"] * (b.to(weight.device) @ a.to(weight.device))
    change = change.T if layer.fan_in_fan_out else change
    weight.data = (weight.data.float() + sign * change).to(weight.dtype)


def is_rewritten(model: nn.Module) -> bool:
    """Whether a part of the base was taken out."""
    return any(hasattr(layer, START) for layer in lora_layers(model).values())


def plain(model: Any, weights: dict[str, Tensor] | None) -> tuple[Any, dict[str, Tensor]]:
    """The configuration of a plain LoRA of rank 2 r for the original base, and the state with its matrices."""
    state = dict(model.state_dict() if weights is None else weights)
    for name, layer in lora_layers(model).items():
        a, b = (f"{name}.lora_{side}.default.weight" for side in "AB")
        a0, b0 = getattr(layer, START)
        state[a] = torch.cat([state[a], a0.to(state[a])])
        state[b] = torch.cat([state[b], -b0.to(state[b])], dim=1)
    config = copy.copy(model.active_peft_config)
    config.r, config.lora_alpha = 2 * config.r, 2 * config.lora_alpha
    config.init_lora_weights = True
    return config, state
