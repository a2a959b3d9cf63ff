"""What the task vectors are like, told before anything is merged: their sizes, and where their signs disagree."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gpu_jobs.deltas import Chunk
from gpu_jobs.engine.merging.experts import Party
from gpu_jobs.errors import ModelError

FINE, FAILS = 0.005, 0.03  # magnitudes at which DARE's authors found dropping to be fine, and to fail
MANY = 0.01  # the share of a task vector beyond FINE of which a person is warned
UNRELATED = 0.02  # the cosine of an expert's matrices with the base's below which they have nothing in common


@dataclass
class Sums:
    """Over one expert's task vector, and its matrices beside those of the base."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    beyond: int = 0
    least: float = math.inf
    most: float = -math.inf
    products: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))  # e.e, b.b, e.b
    entries: int = 0

    def add(self, delta: Tensor, base: Tensor) -> None:
        self.count += delta.numel()
        self.total += float(delta.sum(dtype=torch.float64))
        self.squares += _product(delta, delta)
        self.beyond += int((delta.abs() > FINE).sum())
        self.least, self.most = min(self.least, float(delta.min())), max(self.most, float(delta.max()))
        if delta.ndim > 1:
            expert = base + delta
            self.products += torch.tensor([_product(expert, expert), _product(base, base), _product(expert, base)])
            self.entries += delta.numel()

    @property
    def cosine(self) -> float:
        own, base, both = self.products.tolist()
        return both / math.sqrt(own * base) if own > 0 and base > 0 else 1.0

    def told(self) -> dict[str, float]:
        mean = self.total / self.count
        return {
            "mean": mean,
            "variance": max(0.0, self.squares / self.count - mean**2),
            "min": self.least,
            "max": self.most,
            "norm": math.sqrt(self.squares),
            "share_beyond_0.005": self.beyond / self.count,
        }


def _product(a: Tensor, b: Tensor) -> float:
    return float((a.flatten() @ b.flatten()).double())


@dataclass(frozen=True)
class Findings:
    """As the result holds them."""

    deltas: list[dict[str, Any]]
    conflicts: dict[str, Any]

    def warnings(self) -> list[str]:
        """A sentence for each expert whose task vector is too large for dropping entries at random."""
        return [
            f"{delta['share_beyond_0.005']:.0%} of the deltas of {delta['expert']} lie beyond {FINE} (from "
            f"{delta['min']:.3g} to {delta['max']:.3g}, variance {delta['variance']:.2g}): dropping entries at random "
            f"was found to be fine within {FINE} and to fail near {FAILS}, so drop few of them, or take ties."
            for delta in self.deltas
            if delta["share_beyond_0.005"] > MANY
        ]


def inspect(party: Party, seed: int) -> Findings:
    """One pass over all weights. Raises ModelError for an expert that has nothing in common with the base."""
    sums = [Sums() for _ in party.experts]
    opposed, counts = dict.fromkeys(party.merged, 0), dict.fromkeys(party.merged, 0)
    for chunk in party.stream((1.0,) * len(party.experts), seed).chunks():
        if not chunk.base.numel():
            continue
        for one, delta in zip(sums, chunk.deltas, strict=True):
            one.add(delta, chunk.base)
        opposed[chunk.name] += _opposed(chunk)
        counts[chunk.name] += chunk.base.numel()
    for expert, one in zip(party.experts, sums, strict=True):
        _check_kin(expert.name, one)
    shares = {name: opposed[name] / count for name, count in counts.items() if count}
    deltas = [{"expert": expert.name, **one.told()} for expert, one in zip(party.experts, sums, strict=True)]
    return Findings(deltas, {"share": sum(opposed.values()) / sum(counts.values()), "layers": shares})


def _opposed(chunk: Chunk) -> int:
    """Entries that one expert has raised and another lowered."""
    raised, lowered = chunk.deltas[0] > 0, chunk.deltas[0] < 0
    for delta in chunk.deltas[1:]:
        raised |= delta > 0
        lowered |= delta < 0
    return int((raised & lowered).sum())


def _check_kin(name: str, sums: Sums) -> None:
    """Weights that were trained from others point the same way; those of two random beginnings are at right angles."""
    noise = 4 / math.sqrt(max(1, sums.entries))
    if not all(map(math.isfinite, (sums.squares, sums.least, sums.most))):
        raise ModelError(f"the expert {name} holds values that are not finite: it can't be merged")
    if sums.cosine < max(UNRELATED, noise):
        raise ModelError(
            f"the expert {name} was trained from another base: its matrices have nothing in common with the base's "
            f"(cosine {sums.cosine:.3f})"
        )
