"""How far two models of one architecture lie apart: on the line between their weights, and in what they answer.

    connectivity   (L(0) + L(1)) / 2 - L(t*) over weights (1 - t) a + t b, t* where that is farthest from 0
    similarity     linear CKA of the logits X, Y (n, classes): ||Y'X||^2 / (||X'X|| ||Y'Y||), columns centred
    agreement      the share of targets for which both take the same class

Connectivity is 0 for a model with itself and negative where a barrier lies between (Yang et al. 2021, Zhou et al. 2023;
their code takes 11 points, both models retrained from one pruned model with two seeds). Similarity is 1 for equal
answers up to rotation and scale (Kornblith et al. 2019); it is of at most ROWS targets, spread evenly over the samples,
which is more than logits have independent columns in models narrower than that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gpu_jobs.engine.evaluation import Side, chunks, evaluate, split_of
from gpu_jobs.engine.judged import Judged
from gpu_jobs.engine.objective import IGNORED, scores, targets
from gpu_jobs.errors import ModelError

ROWS = 2048
COLUMNS = 4096  # of the logits that are multiplied at once, in float64


class Pair(NamedTuple):
    """`losses` on the line, from the one model to the other."""

    connectivity: float
    similarity: float
    agreement: float
    losses: list[float]

    def metrics(self) -> dict[str, float]:
        return {f"pair/{name}": getattr(self, name) for name in ("connectivity", "similarity", "agreement")}


def compare(job: Judged, other: nn.Module, side: Side, points: int) -> Pair:
    """The job's model with another; the job's is as it was afterwards. Raises ModelError where they don't match."""
    check(job.bare, other)
    similarity, agreement = _answers(job, other, side)
    losses = _line(job, other, side, points)
    return Pair(connectivity(losses), similarity, agreement, losses)


def check(one: nn.Module, other: nn.Module) -> None:
    """Raises ModelError that names the first weight which is not in both, or not of the same shape."""
    mine, theirs = (_shapes(model) for model in (one, other))
    for name in sorted(mine.keys() ^ theirs.keys()):
        whose = "model" if name in mine else "against"
        raise ModelError(f"against must have the architecture of model: only {whose} has a weight {name}.")
    for name, shape in mine.items():
        if theirs[name] != shape:
            raise ModelError(
                f"against must have the architecture of model: {name} is {list(theirs[name])} there and {list(shape)} "
                "here."
            )


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.named_parameters()}


def connectivity(losses: Sequence[float]) -> float:
    """(L(0) + L(1)) / 2 - L(t*) of the losses along a path."""
    ends = (losses[0] + losses[-1]) / 2
    return max((ends - loss for loss in losses), key=abs)


def _line(job: Judged, other: nn.Module, side: Side, points: int) -> list[float]:
    """Losses at evenly spaced points; one copy of the weights is held for it."""
    start = {name: value.detach().clone() for name, value in job.bare.named_parameters()}
    end = dict(other.named_parameters())
    losses = []
    for point in range(points):
        _mix(job.bare, start, end, point / (points - 1))
        losses.append(evaluate(job, side)[f"{side}/loss"])
    _mix(job.bare, start, end, 0.0)
    return losses


@torch.no_grad()
def _mix(model: nn.Module, start: Mapping[str, Tensor], end: Mapping[str, Tensor], t: float) -> None:
    """Weights (1 - t) start + t end; torch's lerp gives both ends, and what is equal in both, to the bit."""
    for name, value in model.named_parameters():
        value.copy_(torch.lerp(start[name], end[name].to(start[name]), t))


@torch.no_grad()
def _answers(job: Judged, other: nn.Module, side: Side) -> tuple[float, float]:
    """Similarity and agreement over the evaluated samples."""
    split, pieces = split_of(job, side), chunks(job, side)
    job.bare.eval()
    other.eval()
    each = max(1, ROWS // max(1, len(pieces)))  # rows that a piece gives
    kept: list[tuple[Tensor, Tensor]] = []
    equal = count = 0
    for indices in pieces:
        batch = job.to_device(job.objective.prepare(split.batch(indices), training=False))
        counts = targets(batch) != IGNORED
        with job.autocast():
            mine, theirs = (scores(model, batch)[counts] for model in (job.bare, other))
        equal += int((mine.argmax(-1) == theirs.argmax(-1)).sum())
        count += len(mine)
        rows = torch.linspace(0, len(mine) - 1, min(each, len(mine)), device=mine.device).long()
        kept.append((mine[rows].cpu(), theirs[rows].cpu()))
    return cka(*(torch.cat(parts) for parts in zip(*kept, strict=True))), equal / count


def cka(one: Tensor, other: Tensor) -> float:
    """Linear centred kernel alignment of (n, features) and (n, others), by way of (n, n): 1 where both are constant.

    ||Y'X||^2 = <XX', YY'>, so that features may be many.
    """
    x, y = _gram(one), _gram(other)
    scale = float(x.norm() * y.norm())
    return float((x * y).sum()) / scale if scale > 0 else 1.0


def _gram(rows: Tensor) -> Tensor:
    """float64 (n, n): products of the rows, columns centred."""
    found: Any = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for columns in torch.split(rows, COLUMNS, dim=1):
        centred = columns.double() - columns.double().mean(0)
        found.addmm_(centred, centred.T)
    return found  # type: ignore[no-any-return]
