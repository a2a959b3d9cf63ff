"""AFM: factors that lose the least of what a layer puts out on real inputs, not of its weights.

    y = W x + b;   Cov(y) = Q diag(l_1 >= l_2 ...) Q^T over the calibration tokens,   U = the first r columns of Q
    y ~ U U^T (y - E y) + E y:      V = U^T W,   bias = U U^T b + E y - U U^T E y
    mean squared error of an output vector = the sum of the dropped l

(Yu and Wu 2023, "Compressing Transformers: Features Are Low-Rank, but Weights Are Not!"; factors and bias as in the
authors' code.) Blocks are taken one after the other, each on inputs from the compressed ones before. Layers get a bias
that they may not have had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.compressible import Done, RankKnobs, check_ranks, rank_of

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_jobs.engine.pruning.layers import Layer
    from gpu_jobs.engine.shrinking import Subject

__all__ = ["check"]
PAPER = "https://ojs.aaai.org/index.php/AAAI/article/view/26304"
RETRAINS = "weights"
NEEDS = "outputs"


class Knobs(RankKnobs):
    name: Literal["afm"]
    energy: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of the outputs' variance that every layer keeps, by the lowest rank that does, instead of "
        "ratio and rank. A layer whose factors would not be smaller stays as it is.",
    )


def check(knobs: Knobs, anatomy: Any) -> None:
    """Ranks that don't save are refused; by energy, they come from the data."""
    if knobs.energy is None:
        check_ranks(knobs, anatomy)


def compress(knobs: Knobs, subject: Subject) -> Done:
    """Block by block."""
    from gpu_jobs.engine.compressing.outputs import Outputs
    from gpu_jobs.engine.pruning import layers, walk

    found, done = layers.find(subject.bare, knobs.targets, subject.spec.seed), {}
    for stop in walk.walk(subject.bare, found, subject.batches(), subject.device):
        seen = {layer.name: Outputs(layer, subject.device) for layer in stop.layers}
        stop.run(lambda layer, x, seen=seen: seen[layer.name].add(x))  # type: ignore[misc]
        for layer in stop.layers:
            done[layer.name] = _mimic(knobs, subject, layer, seen[layer.name])
    return Done({name: done[name] for name in found})


def _mimic(knobs: Knobs, subject: Subject, layer: Layer, seen: Any) -> dict[str, Any]:
    from gpu_jobs.engine.compressing.ranks import put

    variances, basis = seen.components()
    outputs, inputs = layer.weight.shape
    rank = rank_of(knobs, outputs, inputs) if knobs.energy is None else rank_for(variances, knobs.energy)
    about = {"rank": rank, "error": float(variances[rank:].sum()), "variance": float(variances.sum())}
    if knobs.energy is not None and rank * (outputs + inputs) >= outputs * inputs:
        return about | {"rank": None, "values": outputs * inputs, "error": 0.0}
    up, down, bias = factors(layer.weight, getattr(layer.module, "bias", None), seen.mean, basis[:, :rank])
    put(subject.bare, layer, up, down, bias)
    return about | {"values": rank * (outputs + inputs) + outputs}


def rank_for(variances: Tensor, energy: float) -> int:
    """The lowest rank that keeps this share of the variance; `variances` falls."""
    kept = variances.cumsum(0) / variances.sum()
    return min(len(variances), int((kept < energy - 1e-12).sum()) + 1)


def factors(weight: Tensor, bias: Tensor | None, mean: Tensor, basis: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U (out, rank), V = U^T W and the bias, of a layer whose outputs have this mean; `basis` is U in float64."""
    import torch

    own = torch.zeros_like(mean) if bias is None else bias.to(mean)
    moved = basis @ (basis.T @ (own - mean)) + mean
    return basis.to(weight), (basis.T @ weight.to(basis)).to(weight), moved.to(weight)
