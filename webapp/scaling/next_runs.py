"""Which run a ladder should make next: how much narrower each would make the interval at its target, for its FLOPs.

Candidates are sizes and tokens between and around the rungs, none dearer than the target. Of those that no cheaper one
beats, the five that gain most per FLOP are told. `gpu_jobs.engine.laws.planning` has the mathematics; it is linear:
the law is taken as true, its parameters stay where they are, and a new run is as noisy as the points are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gpu_jobs import ladder as shapes
from gpu_jobs import registry
from gpu_jobs.errors import JobError
from webapp.accounts.models import User
from webapp.scaling import ladder_fit, proposals, queries, reading
from webapp.scaling.definition import Definition
from webapp.scaling.ladder_queries import first, foreseen, variables
from webapp.scaling.models import Ladder
from webapp.scaling.proposals import Proposed

if TYPE_CHECKING:
    from gpu_jobs.engine.laws.planning import Gain
    from webapp.scaling.reading import Reading

MOST_TOLD = 5
LEAST_GAIN = 0.05  # of the interval's width: below that a run is not worth its place in the queue
LEAST_SIZE = 1000  # parameters, below which ladder.shape has no model
ASSUMES = (
    "Linearised around the fit: the law is taken as true, its parameters as near where they are, and a new run as "
    "noisy as those that are fitted. What the run then measures can move the prediction, and can widen its interval."
)


class Choice(NamedTuple):
    """`width` is that of the target's interval afterwards, relative to now; `share` is its FLOPs over those spent."""

    number: int
    run: Proposed
    share: float
    width: float
    low: float | None
    high: float | None
    gain_per_flop: float  # nats of the interval's width

    @property
    def narrower(self) -> float:
        """By what share the interval gets narrower."""
        return 1 - self.width


class Target(NamedTuple):
    """The loss foreseen at the target's best N and D, and its interval now; None without a bootstrap."""

    at: dict[str, float]
    loss: float
    low: float | None
    high: float | None


class Suggestions(NamedTuple):
    """`reason` says why there is none."""

    target: Target | None
    choices: list[Choice]
    reason: str


def suggested(ladder: Ladder, user: User | None) -> Suggestions:
    """Recomputed from the latest fit that has succeeded."""
    definition = Definition.model_validate(ladder.definition)
    if not ladder_fit.has_optimum(definition.law) or definition.law.target != "loss":
        said = f"Law {definition.law.name!r} does not tell a best N and D for a budget: there is no interval to narrow."
        return Suggestions(None, [], said)
    revision = queries.latest(ladder.fit) if ladder.fit is not None else None
    found = reading.read(revision.run) if revision is not None else None
    if found is None:
        return Suggestions(None, [], "There is no fit yet: it is made as soon as enough runs have ended.")
    target = _target(definition, found)
    plans = [rung.plan for rung in ladder.rungs.all()]
    try:
        gains = _ranked(found, target, candidates(plans, definition.target_flops))
    except JobError as error:
        return Suggestions(target, [], f"{str(error).capitalize()}.")
    return Suggestions(target, _choices(ladder, definition, user, target, gains, plans), "")


def candidates(plans: Sequence[dict[str, Any]], budget: float) -> list[dict[str, float]]:
    """Sizes from half the smallest to 4 times the largest and tokens per parameter likewise, in steps of sqrt 2."""
    sizes = _steps([plan["N"] for plan in plans])
    ratios = _steps([plan["D"] / plan["N"] for plan in plans])
    shaped = dict.fromkeys(shapes.shape(size).parameters for size in sizes if size >= LEAST_SIZE)
    found = [{"N": float(size), "D": size * ratio} for size in shaped if size >= LEAST_SIZE for ratio in ratios]
    shortest = max(plan["sequence_length"] for plan in plans)
    return [each for each in found if each["D"] >= shortest and 6 * each["N"] * each["D"] <= budget]


def _steps(values: Sequence[float]) -> list[float]:
    least, most = min(values) / 2, max(values) * 4
    count = round(2 * math.log2(most / least))
    return [least * 2 ** (index / 2) for index in range(count + 1)]


def _target(definition: Definition, found: Reading) -> Target:
    module = registry.method_of(definition.law).module
    size, tokens = module.optimum(definition.law, found.parameters, definition.target_flops)
    at = {"N": float(size), "D": float(tokens)}
    told = foreseen(found, at["N"], at["D"])
    return Target(at, float(told.value[0]), first(told.band_low), first(told.band_high))


def _ranked(found: Reading, target: Target, at: Sequence[dict[str, float]]) -> list[Gain]:
    from gpu_jobs.engine.laws.planning import ranked

    problem = found.problem()
    asked = [variables(found, each["N"], each["D"]) | each for each in at]
    goal = variables(found, target.at["N"], target.at["D"])
    costs = [6 * each["N"] * each["D"] for each in at]
    return best(ranked(problem, problem.fitted(found.parameters), asked, goal, costs))


def best(gains: Sequence[Gain]) -> list[Gain]:
    """Those that narrow the interval at all and that no cheaper one beats, by what they gain per FLOP."""
    front: list[Gain] = []
    for gain in sorted(gains, key=lambda each: (each.flops, each.width)):
        if gain.width <= 1 - LEAST_GAIN and (not front or gain.width < front[-1].width):
            front.append(gain)
    return sorted(front, key=lambda each: -each.gain_per_flop)[:MOST_TOLD]


def _choices(
    ladder: Ladder, definition: Definition, user: User | None, target: Target, gains: Sequence[Gain],
    plans: Sequence[dict[str, Any]],
) -> list[Choice]:  # fmt: skip
    spent = sum(plan["C"] for plan in plans)
    points = [(gain.at["N"], gain.at["D"]) for gain in gains]
    runs = proposals.further(definition, points, user, ladder.project, plans) if points else []
    return [
        Choice(number, run, run.plan["C"] / spent, gain.width, *_narrowed(target, gain.width), gain.gain_per_flop)
        for number, (gain, run) in enumerate(zip(gains, runs, strict=True), 1)
    ]


def _narrowed(target: Target, width: float) -> tuple[float | None, float | None]:
    """The interval around the same prediction."""
    if target.low is None or target.high is None:
        return None, None
    return target.loss - width * (target.loss - target.low), target.loss + width * (target.high - target.loss)
