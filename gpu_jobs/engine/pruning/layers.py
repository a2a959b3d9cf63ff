"""The layers that are pruned, as a criterion sees them: weights (out, in), and what came in."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gpu_jobs.anatomy import pattern
from gpu_jobs.errors import MethodError


class Inputs:
    """Sums over all inputs of a layer so far, in float32: `squares` (in,), and where asked `products` X X^T (in, in)"""

    def __init__(self, width: int, device: torch.device, *, products: bool) -> None:
        self.count = 0
        self.squares = torch.zeros(width, device=device)
        self.products = torch.zeros(width, width, device=device) if products else None

    def add(self, x: Tensor) -> None:
        """x (..., in); padded positions must have been left out."""
        rows = x.detach().reshape(-1, x.shape[-1]).float()
        self.count += len(rows)
        self.squares += rows.square().sum(0)
        if self.products is not None:
            self.products.addmm_(rows.T, rows)


@dataclass
class Layer:
    """A linear layer. `share` of its weights is to go; `inputs` is None for criteria that need no data."""

    name: str
    module: Any
    share: float
    seed: int
    inputs: Inputs | None = None

    @property
    def is_transposed(self) -> bool:
        """Whether the weight is stored (in, out), as GPT-2's are."""
        from transformers.pytorch_utils import Conv1D

        return isinstance(self.module, Conv1D)

    @property
    def weight(self) -> Tensor:
        """(out, in) in float32, detached."""
        stored: Tensor = self.module.weight.detach()
        return (stored.T if self.is_transposed else stored.flatten(1)).float()

    def write(self, weight: Tensor) -> None:
        """Puts (out, in) in the layer's place and precision."""
        stored = self.module.weight
        with torch.no_grad():
            stored.copy_((weight.T if self.is_transposed else weight.view(stored.shape)).to(stored.dtype))

    @property
    def norms(self) -> Tensor:
        """||X_j||_2 of each input (in,); zeros where nothing came in."""
        assert self.inputs is not None
        return self.inputs.squares.sqrt()

    @property
    def hessian(self) -> Tensor:
        """X X^T (in, in), float32; not to be changed: layers that are given the same inputs have it together."""
        assert self.inputs is not None
        assert self.inputs.products is not None
        return self.inputs.products

    @property
    def generator(self) -> torch.Generator:
        """Random numbers of this layer alone: the same whatever the order of layers."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + zlib.crc32(self.name.encode()))


def find(model: Any, targets: Any, seed: int) -> dict[str, Layer]:
    """The layers that `targets` names. Raises MethodError, naming those there are, when there are none."""
    from transformers.pytorch_utils import Conv1D

    adapted = re.compile(pattern(targets, model.config.model_type))
    linear = {name: layer for name, layer in model.named_modules() if isinstance(layer, (nn.Linear, Conv1D))}
    found = {name: Layer(name, layer, 0.0, seed) for name, layer in linear.items() if adapted.fullmatch(name)}
    if not found:
        names = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
        raise MethodError(f"method.targets {targets!r} is in no layer of this model: choose among {names}.")
    return found
