from __future__ import annotations

import json
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from tests.sweeps.search.scene import CMAES, FLAT, LOSS, SPEC, quadratic, samplers, search, searched, seen
from webapp.sweeps.definition import Objective
from webapp.sweeps.search import space
from webapp.sweeps.search.asking import Observation, ask
from webapp.sweeps.search.outcomes import outcomes, recalled
from webapp.sweeps.states import TrialStatus

RESTARTED = """
import json, sys, django; django.setup()
from webapp.sweeps.definition import Objective, Search
from webapp.sweeps.search import space
from webapp.sweeps.search.asking import Observation, ask
for search, history, spec in json.load(sys.stdin):
    history = [Observation(*one) for one in history]
    print(json.dumps(ask(Search.model_validate(search), [Objective(metric="eval/loss")], history, spec=spec)[0].params))
"""


def loss(params: dict[str, float]) -> float:
    return params["optimizer.lr"]


def test_a_restarted_process_asks_for_the_same_points() -> None:
    asked = [search(str(one.values[0])) for one in samplers() if not any(mark.args[0] for mark in one.marks)]
    histories = [searched(one, 6, loss) for one in asked]
    told = json.dumps(
        [[one.model_dump(mode="json"), history, SPEC] for one, history in zip(asked, histories, strict=True)]
    )
    done = subprocess.run(
        [sys.executable, "-c", RESTARTED], input=told, capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    expected = [ask(one, LOSS, history, spec=SPEC)[0].params for one, history in zip(asked, histories, strict=True)]
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected


@pytest.mark.parametrize(("name", "trials"), [("tpe", 40), ("gp", 16), pytest.param("cmaes", 60, marks=[CMAES])])
def test_a_model_beats_chance_on_a_bowl(name: str, trials: int) -> None:
    """The median over seeds of the best value. Chance's best of n in the plane is about 1 / n of the mean square."""

    def best(sampler: str) -> float:
        runs = [searched(search(sampler, FLAT, seed=seed), trials, quadratic) for seed in range(5)]
        return median(min(one.values[0] for one in run if one.values) for run in runs)

    assert best(name) < best("random") / 2


def test_the_seed_gives_other_points() -> None:
    assert ask(search("random", seed=1), LOSS, []) != ask(search("random", seed=2), LOSS, [])


def test_maximising_is_minimising_the_negative() -> None:
    up, down = [Objective(metric="a", goal="maximize")], [Objective(metric="a")]
    asked = search("tpe", FLAT)
    history = searched(asked, 15, quadratic)
    turned = [one._replace(values=[-one.values[0]]) for one in history if one.values]
    assert ask(asked, up, turned, spec=SPEC) == ask(asked, down, history, spec=SPEC)


def test_bad_results_are_told_as_a_little_worse_than_the_worst() -> None:
    statuses = [TrialStatus.OUT_OF_MEMORY, TrialStatus.DIVERGED, TrialStatus.FAILED]
    good = [seen(1, {"x": 1}, 1.0), seen(2, {"x": 2}, 3.0)]
    bad = [Observation(3 + at, {"x": 3}, status) for at, status in enumerate(statuses)]
    unreal = [seen(6, {"x": 4}, math.nan), seen(7, {"x": 4}, math.inf), seen(8, {"x": 4}, -math.inf)]
    told = outcomes(LOSS, [*good, *bad, *unreal])
    assert [one.losses for one in told] == [(1.0,), (3.0,)] + [pytest.approx((3.2,))] * 6
    turned = outcomes([Objective(metric="a", goal="maximize")], [*good, *bad])
    assert [one.losses for one in turned] == [(-1.0,), (-3.0,)] + [pytest.approx((-0.8,))] * 3


def test_a_cancelled_trial_teaches_nothing_and_an_open_one_is_known_as_open() -> None:
    history = [
        Observation(1, {"x": 1}, TrialStatus.CANCELLED, [0.0]),
        Observation(2, {"x": 2}, TrialStatus.QUEUED),
        Observation(3, {"x": 3}, TrialStatus.RUNNING, [5.0]),
        Observation(4, {"x": 4}, TrialStatus.STOPPED, [2.0]),
    ]
    assert [(one.number, one.losses) for one in outcomes(LOSS, history)] == [(2, None), (3, None), (4, (2.0,))]


def test_what_is_recalled_has_the_best_and_an_even_sample_of_the_rest() -> None:
    history = [seen(number, {"x": number}, float((number * 7919) % 1000)) for number in range(1000)]
    kept = recalled(outcomes(LOSS, [*history, Observation(1000, {"x": 0}, TrialStatus.RUNNING)]), 100, 10)
    values = [one.losses[0] for one in kept if one.losses]
    assert len(values) == 100 and set(range(10)) <= {int(value) for value in values}
    assert kept[-1].number == 1000
    gaps = [after.number - before.number for before, after in pairwise(kept)]
    assert max(gaps) <= 12, "every eleventh of the 990 others"


def test_the_whole_front_is_recalled_of_several_objectives() -> None:
    front = [seen(at, {"x": at}, float(at), float(10 - at)) for at in range(11)]
    others = [seen(11 + at, {"x": at}, 20.0 + at % 7, 20.0 + at % 5) for at in range(300)]
    two = [Objective(metric="a"), Objective(metric="b")]
    kept = recalled(outcomes(two, [*others, *front]), 50, 25)
    assert set(range(11)) <= {one.number for one in kept} and len(kept) == 50


def test_of_thousands_of_trials_a_sample_still_shows_where_the_bowl_is() -> None:
    """TPE is told 200 of them; its points lie far below the middle of what chance gives."""
    asked = search("tpe", FLAT)
    draws = space.drawn(asked.space, frozenset(), 5)
    points = [next(draws) for _ in range(3000)]
    history = [seen(number, params, quadratic(params)) for number, params in enumerate(points, 1)]
    losses = [quadratic(point.params) for point in ask(asked, LOSS, history, 9, spec=SPEC)]
    assert median(losses) < median(quadratic(params) for params in points) / 20
