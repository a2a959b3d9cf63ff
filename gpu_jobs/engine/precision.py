"""In which numbers a run computes: float32, or bfloat16 where the hardware has it, with trained weights in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from gpu_jobs.errors import MethodError


def is_bf16(spec: Any, device: torch.device) -> bool:
    """What the spec's precision means on this device. Raises MethodError when the GPU has no bfloat16."""
    has_it = device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    if spec.precision == "bf16" and not has_it:
        raise MethodError(
            f"precision 'bf16' needs a GPU that has it (NVIDIA Ampere or later): {torch.cuda.get_device_name(device)} "
            "has not; set precision to 'fp32'."
        )
    return spec.precision == "bf16" or (spec.precision == "auto" and has_it and device.type == "cuda")


def autocast(device: torch.device, *, bf16: bool) -> AbstractContextManager[None]:
    """Matrix products in bfloat16, sums and norms in float32."""
    return torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()


def shrink_frozen(model: nn.Module) -> None:
    """Holds frozen matrices in bfloat16, as autocast would cast them for every product: same numbers, half the bytes.

    Embeddings, and matrices tied to one, are looked up in float32 and stay so.
    """
    from transformers.pytorch_utils import Conv1D

    tables = {id(layer.weight) for layer in model.modules() if isinstance(layer, nn.Embedding)}
    for layer in model.modules():
        if isinstance(layer, (nn.Linear, Conv1D)):
            for parameter in layer.parameters(recurse=False):
                if not parameter.requires_grad and id(parameter) not in tables:
                    parameter.data = parameter.data.to(torch.bfloat16)
