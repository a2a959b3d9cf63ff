"""How much a loss suffers when the learning rate is not the best one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def lr_sensitivity(losses: Mapping[float, float], initial: float) -> float | None:
    """S: the mean over log lr of min(l, l0) - l*, l0 the loss at initialisation, l* the least of the clipped ones.

    losses: by learning rate; a run that diverged has an infinite one, or l0. The mean is the trapezoid rule's, so that
    it does not depend on how dense the grid is; of a single rate it is 0 (Wortsman et al. 2023, section 2.2).
    """
    if not losses:
        return None
    rates = np.array(sorted(losses))
    clipped = np.minimum([losses[rate] for rate in rates], initial)
    excess = clipped - clipped.min()
    if len(rates) == 1:
        return 0.0
    x = np.log(rates)
    return float(np.trapezoid(excess, x) / (x[-1] - x[0]))
