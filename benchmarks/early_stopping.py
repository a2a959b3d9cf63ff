"""How long a stopper takes to decide, what it saves and what it costs, and how often forecast bands hold.

`python benchmarks/early_stopping.py` needs no server. Sweeps are simulated: 40 trials on 4 slots, 20 evaluations each,
curves of four families with correlated noise (tests/sweeps/stoppers/curves.py), of which the curve model has one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.sweeps.stoppers.curves import FAMILIES, LAST, curve, ended, simulated
from webapp.sweeps import extrapolation, registry
from webapp.sweeps.curves import Curve

TRIALS, SLOTS, POINTS, TOP = 40, 4, 20, 3
KNOBS: dict[str, dict[str, Any]] = {
    "asha": {"min_steps": 100, "reduction": 3},
    "hyperband": {"min_steps": 100, "reduction": 3},
    "median": {"grace_steps": 200},
    "patience": {"steps": 150},
    "predicted": {"top": TOP, "min_points": 4},
}


class Swept(NamedTuple):
    stops: int
    wrong: int  # stopped although among the true best three
    saved: float  # share of all steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=10, help="simulated sweeps of each family")
    options = parser.parse_args()
    print("decide, 200 siblings x 100 points, half way".ljust(52), "median ms")
    for name in KNOBS:
        print(f"  {name}".ljust(52), f"{milliseconds(name):.1f}")
    print("\nstopper, family".ljust(37), "stops  wrong  saved steps  best found")
    for name in KNOBS:
        for family in FAMILIES:
            print(f"  {name}, {family}".ljust(36), outcome(name, family, options.sweeps))
    print("\n90 % bands that held, by siblings that have ended".ljust(52), "  ".join(f"{n:>4}" for n in (5, 20, 100)))
    for family in FAMILIES:
        shares = "  ".join(f"{held(family, siblings, 20 * options.sweeps):.2f}" for siblings in (5, 20, 100))
        print(f"  {family}".ljust(52), shares)


def stopper(name: str) -> tuple[Any, Any]:
    entry = registry.entries("stoppers")[name]
    return entry.module.decide, entry.knobs(name=name, **KNOBS[name])


def milliseconds(name: str) -> float:
    decide, knobs = stopper(name)
    steps, values = simulated("power", 200, 100, 0)
    others = [ended(number, row, steps) for number, row in enumerate(values[1:], 2)]
    trial = curve(1, values[0, :50], steps[:50])
    decide(knobs, trial, others)
    return statistics.median(timed(lambda: decide(knobs, trial, others)) for _ in range(30)) * 1e3


def timed(call: Any) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def outcome(name: str, family: str, sweeps: int) -> str:
    """`best found`: the share of the true best three that ran to their end."""
    told = list(swept(name, family, sweeps))
    stops, wrong = sum(one.stops for one in told), sum(one.wrong for one in told)
    saved = statistics.mean(one.saved for one in told)
    return f"{stops:>5}  {wrong:>5}  {saved:>10.0%}  {1 - wrong / (TOP * sweeps):>10.0%}"


def swept(name: str, family: str, sweeps: int) -> Iterator[Swept]:
    for seed in range(sweeps):
        steps, values = simulated(family, TRIALS, POINTS, seed)
        come, stopped = run(name, steps, values)
        best = set(np.argsort(values[:, -1])[:TOP].tolist())
        yield Swept(len(stopped), len(best & stopped), 1 - sum(come) / (TRIALS * POINTS))


def run(name: str, steps: Any, values: Any) -> tuple[list[int], set[int]]:
    """(points that each trial got, those that were stopped)"""
    decide, knobs = stopper(name)
    come, judged, stopped = [0] * TRIALS, [0] * TRIALS, set[int]()

    def seen(number: int) -> Curve:
        points = come[number]
        is_complete = points == POINTS
        over = number in stopped or is_complete
        return Curve(number + 1, steps[:points], values[number, :points], LAST, over, is_complete, judged[number])

    while active := [n for n in range(TRIALS) if n not in stopped and come[n] < POINTS][:SLOTS]:
        for number in active:
            come[number] += 1
            others = [seen(other) for other in range(TRIALS) if other != number and come[other]]
            if decision := decide(knobs, seen(number), others):
                judged[number] = decision.judged_step
                stopped |= {number} if decision.stop else set()
    return come, stopped


def held(family: str, siblings: int, sweeps: int) -> float:
    """A third of the way."""
    inside = 0
    for seed in range(sweeps):
        steps, values = simulated(family, siblings + 1, 30, seed)
        told = extrapolation.forecast(steps, values[:1, :10], values[1:])
        inside += bool(told.quantile(0.05)[0] <= values[0, -1] <= told.quantile(0.95)[0])
    return inside / sweeps


if __name__ == "__main__":
    main()
