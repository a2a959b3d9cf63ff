"""What a law's curve is drawn over: compute, along its best N and D where it reads both, else a variable of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.metrics.points import Float64
from webapp.scaling.reading import Reading

RATIOS = np.linspace(-12, 12, 241)  # of ln N around the even split of a budget, where the best one is looked for
STEPS = 90  # of a curve
CHOSEN = {"N_opt", "lr", "batch", "B"}  # targets that are chosen for a budget; others are what it reaches


class Path(NamedTuple):
    """`at` has the law's variables at each of `x`; `said` is what the reader must know of how they were chosen."""

    x: Float64
    at: dict[str, Float64]
    said: str


def over_compute(reading: Reading) -> bool:
    """Whether its target is what compute reaches: a law of N and D, or of nothing but C."""
    names = set(reading.law.variables)
    return reading.law.target not in CHOSEN and (names >= {"N", "D"} or names == {"C"})


def middle(values: Float64) -> float:
    """The median as one of the values themselves, so that there are points at it."""
    return float(np.sort(values)[len(values) // 2])


def compute_of(reading: Reading) -> Float64:
    """Of the points: 6 N D, or their column C where the law does not read N and D."""
    points = reading.points
    return 6 * points["N"] * points["D"] if {"N", "D"} <= points.keys() else points["C"]


def farthest(reading: Reading) -> float:
    """The largest budget that was asked about, or ten times the largest that was measured."""
    asked = [each["compute"] for each in reading.result.get("frontier") or []]
    for each in [*reading.result["predictions"], *reading.held_out]:
        place = each["at"]
        asked += [6 * place["N"] * place["D"]] if {"N", "D"} <= place.keys() else [place["C"]] if "C" in place else []
    return float(max([*asked, 10 * compute_of(reading).max()]))


def along_compute(reading: Reading, compute: Float64) -> Path:
    """The law at each budget: at its best N and D, other variables as in the middle of the points."""
    if set(reading.law.variables) == {"C"}:
        return Path(compute, {"C": compute}, "")
    rest = [name for name in reading.law.variables if name not in ("N", "D")]
    held = {name: np.full(len(compute), middle(reading.points[name])) for name in rest}
    size, said = best_size(reading, compute, held)
    more = f", {', '.join(f'{name} = {held[name][0]:.3g}' for name in rest)}" if rest else ""
    return Path(compute, {"N": size, "D": compute / (6 * size), **held}, said + more)


def best_size(reading: Reading, compute: Float64, held: dict[str, Float64]) -> tuple[Float64, str]:
    """(N, words): where the law's loss is least at each budget, else at the points' own tokens per parameter."""
    best = reading.optimum(compute)
    if best is not None:
        return best.N, "line: the best N and D of each budget"
    size = _searched(reading, compute, held)
    if size is not None:
        return size, "line: the best N and D of each budget, searched for"
    ratio = float(np.median(reading.points["D"] / reading.points["N"]))
    return np.sqrt(compute / (6 * ratio)), f"line: {ratio:.3g} tokens per parameter, since the law has no best"


def _searched(reading: Reading, compute: Float64, held: dict[str, Float64]) -> Float64 | None:
    """None where the least loss lies at an end of what is looked at."""
    sizes = np.sqrt(compute / 6)[:, None] * np.exp(RATIOS)  # (budgets, ratios)
    at = {"N": sizes, "D": compute[:, None] / (6 * sizes)}
    at |= {name: np.broadcast_to(values[:, None], sizes.shape) for name, values in held.items()}
    losses = reading.predict({name: values.reshape(-1) for name, values in at.items()}).reshape(sizes.shape)
    least = np.argmin(np.where(np.isfinite(losses), losses, np.inf), axis=1)
    if least.min() == 0 or least.max() == len(RATIOS) - 1:
        return None
    rows = np.arange(len(compute))
    left, here, right = (losses[rows, least + step] for step in (-1, 0, 1))
    shift = 0.5 * (left - right) / (left - 2 * here + right)  # the vertex of the parabola through the three
    return np.asarray(sizes[rows, least] * np.exp(np.nan_to_num(shift) * (RATIOS[1] - RATIOS[0])), np.float64)


def spread(values: Float64, room: float, is_log: bool) -> Float64:
    """Steps over a range that is wider than the values by `room` on each side, times where it is logarithmic."""
    low, high = float(values.min()), float(values.max())
    if is_log:
        return np.geomspace(low / room, high * room, STEPS)
    return np.linspace(low - (room - 1) * (high - low), high + (room - 1) * (high - low), STEPS)
