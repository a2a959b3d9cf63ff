"""Low rank by SVD: each matrix becomes the product of two thin ones, the nearest there is.

    W (out, in) ~ U V,  U (out, r),  V (r, in):  the r largest singular values, their roots in both factors
    |W - U V|_F = sqrt(sum of the squares of the dropped singular values)

(Eckart and Young 1936; on transformers, and trained on afterwards: Cahyawijaya 2021, "Greenformers", low-rank
transformer.) It saves where r (in + out) < in out. FLOPs fall from 2 in out a token to 2 r (in + out); whether time
does is measured at several lengths. Biases stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gpu_jobs.compressible import Done, RankKnobs, check_ranks, rank_of

if TYPE_CHECKING:
    from gpu_jobs.engine.shrinking import Subject

__all__ = ["check"]
PAPER = "https://arxiv.org/abs/2108.10808"
RETRAINS = "weights"


class Knobs(RankKnobs):
    name: Literal["lowrank_svd"]


check = check_ranks


def compress(knobs: Knobs, subject: Subject) -> Done:
    """Every layer for itself; no data is looked at."""
    from gpu_jobs.engine.compressing.ranks import factorise
    from gpu_jobs.engine.pruning import layers

    found = layers.find(subject.bare, knobs.targets, subject.spec.seed)
    return Done(
        {
            name: factorise(subject.bare, layer, rank_of(knobs, layer.weight.shape[0], layer.weight.shape[1]))
            for name, layer in found.items()
        }
    )
