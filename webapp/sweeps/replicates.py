"""How many tuning seeds each trial is to have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from webapp.sweeps import statistics
from webapp.sweeps.definition import Seeds


def wanted(seeds: Seeds, samples: Mapping[int, Sequence[float]], sign: float) -> dict[int, int]:
    """Tuning seeds of each trial, from the first objective's values that its finished ones have given so far.

    Without racing all get `tune`. With racing all begin with `racing_from`; of those not yet shown to be worse than the
    best, the ones with the fewest seeds get one more, up to `tune`, so that the field goes on seed by seed; the others
    keep what they have. Never fewer than a trial has. `sign` times a value is what is minimised.
    """
    if not seeds.racing:
        return {trial: max(len(values), seeds.tune) for trial, values in samples.items()}
    start = min(seeds.racing_from, seeds.tune)
    turned = {trial: [sign * value for value in values] for trial, values in samples.items()}
    racing = statistics.contenders(turned, seeds.confidence)
    level = min((max(len(samples[trial]), start - 1) for trial in racing), default=0)
    return {
        trial: _wanted(len(values), start, min(level + 1, seeds.tune) if trial in racing else 0)
        for trial, values in samples.items()
    }


def _wanted(has: int, start: int, next_level: int) -> int:
    return max(has, start, next_level)
