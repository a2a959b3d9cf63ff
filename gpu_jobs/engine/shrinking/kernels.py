"""2:4 models on the sparse tensor cores of GPUs that have them (NVIDIA Ampere and later): how fast they really are.

The weights are held by torch as semi-structured tensors, in bfloat16, which is what those kernels multiply.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from gpu_jobs.engine.shrinking.change import Change

ROWS, COLUMNS = 32, 64  # torch: of weights in 16 bits, multiples of these alone


def has_sparse_kernels(device: torch.device) -> bool:
    """Whether this device multiplies 2:4 matrices faster than dense ones."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def sparse(model: Any, change: Change) -> Any | None:
    """A copy in bfloat16 with its 2:4 layers on the sparse kernels; None where no layer is of a size they take."""
    fitting = [name for name, mask in change.masks.items() if _fits(model.get_submodule(name), mask)]
    if change.pattern != "2:4" or not fitting:
        return None
    copied = copy.deepcopy(model).to(torch.bfloat16)
    for name in fitting:
        layer = copied.get_submodule(name)
        held = torch.sparse.to_sparse_semi_structured(layer.weight.detach())
        layer.weight = nn.Parameter(held, requires_grad=False)
    return copied


def _fits(layer: Any, mask: Tensor) -> bool:
    return isinstance(layer, nn.Linear) and mask.shape[0] % ROWS == 0 and mask.shape[1] % COLUMNS == 0
