"""What share of each layer goes, where that hangs on the model; by shapes alone, see `prunable.shares`.

owl    blocks in which more inputs are outliers keep more: density = 1 - s + (D - mean D), D the share of
       |W_ij| ||X_j|| beyond M times the mean of its block, stretched to a width of 2 lambda (Yin et al. 2024,
       "Outlier Weighed Layerwise Sparsity", M = 5, lambda = 0.08; the stretching as recalled from the code)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from gpu_jobs import prunable
from gpu_jobs.engine.pruning import walk
from gpu_jobs.engine.pruning.layers import Layer
from gpu_jobs.engine.shrinking.subject import Subject

if TYPE_CHECKING:
    from gpu_jobs.kinds.prune import Spec

OUTLIER, SPREAD = 5.0, 0.08


def shares(subject: Subject, spec: Spec, found: Mapping[str, Layer], sparsity: float) -> dict[str, float]:
    """The share to remove of each layer; the whole is as sparse as asked."""
    shapes = {name: (layer.weight.shape[0], layer.weight.shape[1]) for name, layer in found.items()}
    if spec.allocation != "owl":
        return prunable.shares(spec.allocation, sparsity, shapes)
    return _owl(_outliers(subject, found), sparsity, shapes)


def _outliers(subject: Subject, found: Mapping[str, Layer]) -> dict[str, float]:
    """The share of outliers in the block of each layer."""
    ratios: dict[str, float] = {}
    for stop in walk.walk(subject.bare, found, subject.batches(), subject.device):
        walk.gather(stop, "norms", subject.device)
        if stop.layers:
            values = torch.cat([(layer.weight.abs() * layer.norms).flatten() for layer in stop.layers])
            ratio = float((values > OUTLIER * values.mean()).float().mean())
            ratios |= dict.fromkeys((layer.name for layer in stop.layers), ratio)
        for layer in stop.layers:
            layer.inputs = None
    return ratios


def _owl(ratios: Mapping[str, float], sparsity: float, shapes: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    low, high = min(ratios.values()), max(ratios.values())
    spread = min(SPREAD, sparsity, 1 - sparsity)
    stretched = {
        name: (ratio - low) / (high - low) * 2 * spread if high > low else 0.0 for name, ratio in ratios.items()
    }
    total = sum(out * inputs for out, inputs in shapes.values())
    mean = sum(stretched[name] * out * inputs for name, (out, inputs) in shapes.items()) / total
    return {name: min(1.0, max(0.0, sparsity - (stretched[name] - mean))) for name in shapes}
