"""Matrices as products of two factors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpu_jobs.engine.compressed import replace
from gpu_jobs.engine.compressed.factored import Factored
from gpu_jobs.engine.pruning.layers import Layer


def svd(weight: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """U (out, rank) and V (rank, in) with sqrt(S) in both, and the singular values that were dropped."""
    u, s, v = torch.linalg.svd(weight.float(), full_matrices=False)
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * v[:rank], s[rank:]


def factorise(model: Any, layer: Layer, rank: int) -> dict[str, Any]:
    """Puts the nearest factors of this rank in a layer's place, and says how near they are."""
    up, down, dropped = svd(layer.weight, rank)
    error, whole = float(dropped.square().sum().sqrt()), float(layer.weight.norm())
    put(model, layer, up, down, getattr(layer.module, "bias", None))
    values = up.numel() + down.numel()
    return {"rank": rank, "values": values, "error": error, "relative_error": error / whole if whole else 0.0}


def put(model: Any, layer: Layer, up: Tensor, down: Tensor, bias: Tensor | None) -> None:
    """Factors in a layer's place, in its precision."""
    kind = layer.module.weight.dtype
    made = Factored.of(up.to(kind), down.to(kind), bias, is_transposed=layer.is_transposed)
    replace(model, layer.name, made)
