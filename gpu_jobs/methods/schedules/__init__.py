"""The learning rate over a run.

Contract: `factor(knobs, at) -> float`, what the peak rate is multiplied by in the update at this `Moment`. Pure: a
resumed run needs no state of it.
"""

from __future__ import annotations

from typing import NamedTuple


class Moment(NamedTuple):
    """Where a run is when the rate of an update is set."""

    step: int  # the update, counted from 0
    steps: int  # updates of the whole run
    tokens: int  # read before this update; every sample counts as full
    batch_size: int  # samples of this update
    peak: float  # the rate that the factor multiplies
