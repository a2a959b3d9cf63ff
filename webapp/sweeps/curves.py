"""A trial's objective over its steps, as stoppers see it, and what they decide."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Curve(NamedTuple):
    """Less is better. With several seeds: the mean over them at the steps that all of them have reached."""

    trial: int  # its number
    steps: NDArray[np.int64]  # (n,) rising
    values: NDArray[np.float64]  # (n,)
    last_step: int  # where its training is planned to end
    is_over: bool  # nothing will be added
    is_complete: bool  # it reached its end
    judged_step: int = 0  # up to here it was let live


class Decision(NamedTuple):
    """What a stopper says of a trial at `judged_step`; `forecast` is kept with the trial and drawn."""

    stop: bool
    judged_step: int
    reason: str = ""  # one sentence, when it stops
    forecast: dict[str, Any] | None = None  # {"step", "target_step", "mean", "low", "high", "chance"}


def at_step(curve: Curve, step: int) -> float | None:
    """The last value at or before a step; None when it has not come that far."""
    place = int(np.searchsorted(curve.steps, step, side="right")) - 1
    return float(curve.values[place]) if place >= 0 else None
