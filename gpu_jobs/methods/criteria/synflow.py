"""SynFlow: keep the weights through which most flows, whatever the data, in many small rounds.

    S = |w| d log R/d|w|         R the product of the flows of ones through all branches, with the sizes of the weights

    values   1' |Wo| |Wv| 1                scores   sum over heads (|Wq| 1) . (|Wk| 1)
    feed-forward   1' |Wd| ((|Wg| 1) * (|Wu| 1)), or 1' |W2| |W1| 1 without a gate

(Tanaka et al. 2020, whose networks are chains: R = 1' prod |W| 1, S = |w| dR/d|w|. The branches are our reading for
transformers, in which norms and softmax would stop the flow: each begins with ones again, as a norm makes them, so that
R is their product, and the logarithm only divides all of S by R.) As in the paper all matrices have the same sum of
scores, here 1 (3 where one makes queries, keys and values), and in small rounds none is emptied while others are full:
use allocation "global". Needs no data. `rounds` of growing sparsity, 1 - (1 - s)^(r / rounds); of n:m there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.prunable import PruningKnobs

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_jobs.engine.pruning.layers import Layer

PAPER = "https://arxiv.org/abs/2006.05467"
SCOPE = "matrix"


class Knobs(PruningKnobs):
    name: Literal["synflow"]
    rounds: int = Field(100, ge=1, le=10_000, description="Rounds in which the weights go.")


def scores(
    knobs: Knobs, model: Any, batches: Sequence[Any], loss_sum: Callable[[Any], Tensor], layers: Mapping[str, Layer]
) -> dict[str, Tensor]:
    """|w| d log R/d|w|, (out, in) each"""
    from gpu_jobs.engine.pruning.flow import saliency

    return saliency(model, layers)
