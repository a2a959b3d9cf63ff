"""How the trained weights and their gradients lie: counts in equal bins, every so many steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gpu_jobs.events import Bins, Histograms

if TYPE_CHECKING:
    from gpu_jobs.engine.job import Job

BINS = 64
MOST_TENSORS = 48  # each is two series of media, and a run has at most 200
PIECE = 1 << 22  # values that are binned at once
WRAPPER = "base_model.model."  # PEFT's, before every name


def gradients(job: Job) -> dict[str, Bins]:
    """Of what the backward pass has left, before clipping; nothing for a method without gradients."""
    return _of("gradients", {name: value.grad for name, value in _chosen(job).items() if value.grad is not None})


def event(job: Job, step: int, more: Mapping[str, Bins]) -> Histograms:
    """Those of the weights after a step, and `more`."""
    return Histograms(step=step, values={**_of("weights", _chosen(job)), **more})


@torch.no_grad()
def binned(values: Tensor) -> Bins | None:
    """Of the finite values (any shape, any float type) in 64 bins; None where none is finite.

    Equal values lie in the middle of bins that span 1, as numpy's do.
    """
    ends = [torch.aminmax(piece) for piece in _finite(values)]
    if not ends:
        return None
    low, high = float(min(end.min for end in ends)), float(max(end.max for end in ends))
    if low == high:
        around = max(0.5, abs(low) * 1e-6)
        low, high = low - around, high + around
    counts = torch.zeros(BINS, dtype=torch.int64, device=values.device)
    for piece in _finite(values):
        places = ((piece - low) * (BINS / (high - low))).long().clamp_(0, BINS - 1)
        counts += torch.bincount(places, minlength=BINS)
    return Bins(low=low, high=high, counts=counts.tolist())


def _finite(values: Tensor) -> Iterator[Tensor]:
    """float64, in pieces that are not empty: a huge weight is never there twice."""
    for piece in torch.split(values.detach().flatten(), PIECE):
        finite = piece.double()[torch.isfinite(piece)]
        if len(finite):
            yield finite


def _chosen(job: Job) -> dict[str, Tensor]:
    """The largest of what is trained, in the model's order."""
    trained = {name: value for name, value in job.hooks.trained().items() if value.is_floating_point()}
    largest = set(sorted(trained, key=lambda name: -trained[name].numel())[:MOST_TENSORS])
    return {name.removeprefix(WRAPPER): value for name, value in trained.items() if name in largest}


def _of(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Bins]:
    found = {f"{kind}/{name}": binned(value) for name, value in tensors.items()}
    return {name: bins for name, bins in found.items() if bins is not None}
