"""Block redundancy: transformer blocks that change least of what they are given go.

    S = 1 - mean over tokens of cos(x, y)         x what goes into the block, y what comes out

(The depth pruning of EfficientVLA, Yang et al. 2025, on its language model; unchecked against the paper beyond the
catalogue's summary.) One pass over the model as it came; the first and the last blocks can be protected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs.prunable import Pattern, PruningKnobs, Unit

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2506.10100"
PATTERNS = ("structured",)
UNITS = ("blocks",)


class Knobs(PruningKnobs):
    name: Literal["block_redundancy"]
    pattern: Pattern = Field("structured", description="structured: whole blocks.")
    unit: Unit = Field("blocks", description="blocks: the criterion judges nothing else.")
    protected: int = Field(1, ge=0, le=256, description="Blocks at either end that never go.")


def blocks(knobs: Knobs, pairs: Sequence[tuple[Tensor, Tensor]], number: int, count: int) -> float:
    """1 - the mean cosine of (tokens, width) before and after; infinite for a protected block"""
    from torch.nn.functional import cosine_similarity

    if min(number, count - 1 - number) < knobs.protected:
        return float("inf")
    cosines = [cosine_similarity(before.float(), after.float(), dim=-1) for before, after in pairs]
    return 1 - sum(float(each.sum()) for each in cosines) / sum(map(len, cosines))
