"""Power: the rate falls with a power of the tokens read, whatever the length of the run.

    f(t) = w(t) d(t) min(1, beta a n^b / lr)
    w(t) = min(1, (t + 1) / warmup)
    d(t) = 1 for t < T - D, then 1 - (t - T + D) / D

with n the tokens read before update t, T the updates, D = decay T those of the decay at the end, and beta the samples
of an update (Shen et al. 2024). The paper's cap lr_max is the optimizer's rate lr; it takes 0.02, with maximal update
parametrization. Behind it is a law for the best rate of a WSD schedule over N tokens, lr / beta = 4.6 N^-0.51. Before
the decay nothing depends on T; a run that goes on with other batches goes by its tokens, not its steps.

Unchecked against the paper: that beta counts samples (of 4,096 tokens there) rather than tokens, which is the reading
under which the rate ever leaves a cap of 0.02; that the decay is a straight line down to 0.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.methods.schedules import Moment

PAPER = "https://arxiv.org/abs/2408.13359"


class Knobs(registry.Knobs):
    name: Literal["power"]
    warmup_steps: int = Field(0, ge=0, le=1_000_000, description="Updates over which the rate rises.")
    a: float = Field(4.0, ge=0.1, le=20, description="The rate for each sample of a batch, after one token.")
    b: float = Field(-0.51, ge=-1, le=0, description="Power of the tokens read with which it falls.")
    decay: float = Field(0.1, ge=0, le=0.5, description="Share of all steps that the decay to 0 at the end takes.")


def factor(knobs: Knobs, at: Moment) -> float:
    """What the peak rate is multiplied by at this moment."""
    power: float = at.batch_size * knobs.a * max(1, at.tokens) ** knobs.b / at.peak
    rise = min(1.0, (at.step + 1) / max(1, knobs.warmup_steps))
    decay = round(knobs.decay * at.steps)
    left = 1 - max(0, at.step - at.steps + decay) / max(1, decay)
    return rise * left * min(1.0, power)
