"""Which run to make next: only ones that pay, the best per FLOP first, and what is said when there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_jobs import ladder as shapes
from gpu_jobs.engine.laws.planning import Gain
from tests.runs import scene
from tests.scaling import ladders
from webapp.scaling import actions, next_runs
from webapp.scaling.models import Ladder

pytestmark = pytest.mark.django_db


@pytest.fixture
def fitted(tmp_path: Path) -> Ladder:
    ladder = ladders.create()
    ladders.train_all(ladder)
    ladders.fit(ladder, tmp_path)
    return ladder


def test_candidates_surround_the_rungs_and_never_cost_more_than_the_target() -> None:
    plans: list[dict[str, Any]] = [{"N": size, "D": 600_000, "sequence_length": 32} for size in (30_000, 120_000)]
    found = next_runs.candidates(plans, 1e13)
    sizes, ratios = {each["N"] for each in found}, [each["D"] / each["N"] for each in found]
    assert min(sizes) == pytest.approx(15_000, rel=0.2) and max(sizes) == pytest.approx(480_000, rel=0.2)
    assert min(ratios) == pytest.approx(2.5) and max(ratios) == pytest.approx(80)
    assert max(6 * each["N"] * each["D"] for each in found) <= 1e13
    assert len(found) > 50


def test_every_candidate_of_the_tiniest_rungs_can_be_made() -> None:
    """A size just above the least one has a shape below it."""
    plans = [{"N": size, "D": 5_000, "sequence_length": 128} for size in (832, 2_500)]
    found = next_runs.candidates(plans, 1e12)
    assert found
    for each in found:
        assert shapes.rung(each["N"], each["D"], 128).steps >= 1


def test_the_best_are_those_that_no_cheaper_one_beats() -> None:
    def gain(flops: float, width: float) -> Gain:
        return Gain({"N": flops}, flops, width, 0.0, float(-np.log(width) / flops))

    kept, dear, idle, slight = gain(1, 0.9), gain(10, 0.5), gain(5, 0.95), gain(0.1, 0.995)
    assert next_runs.best([dear, idle, kept, slight]) == [kept, dear]
    assert next_runs.best([slight]) == []
    assert len(next_runs.best([gain(cost, 0.9 / cost) for cost in range(1, 20)])) == next_runs.MOST_TOLD


def test_suggestions_narrow_the_interval_at_the_targets_optimum(fitted: Ladder) -> None:
    found = next_runs.suggested(fitted, scene.person())
    target = found.target
    assert target is not None and not found.reason
    assert 6 * target.at["N"] * target.at["D"] == pytest.approx(1e13)
    assert target.low is not None and target.high is not None and target.low < target.loss < target.high
    assert 1 <= len(found.choices) <= 5
    gains = [choice.gain_per_flop for choice in found.choices]
    assert gains == sorted(gains, reverse=True)
    spent = sum(rung.plan["C"] for rung in fitted.rungs.all())
    for choice in found.choices:
        assert choice.run.plan["C"] <= 1.1e13
        assert choice.share == pytest.approx(choice.run.plan["C"] / spent)
        assert choice.width <= 0.99 and choice.low is not None and choice.high is not None
        assert (choice.high - choice.low) / (target.high - target.low) == pytest.approx(choice.width)
        assert choice.gain_per_flop == pytest.approx(-np.log(choice.width) / choice.run.plan["C"], rel=0.1)


def test_the_promised_width_is_that_of_a_fit_with_that_run_where_noise_is_small(tmp_path: Path) -> None:
    """By the same linear rule, before and after; with little noise the parameters stay where they are."""

    def quiet(number: int, N: float, D: float) -> float:  # noqa: N803 - the law's own names
        return float(ladders.truth(N, D) * np.exp(np.random.RandomState(number).normal(0, 1e-5)))

    ladder = ladders.create(bootstrap={"resamples": 0})
    ladders.train_all(ladder, quiet)
    ladders.fit(ladder, tmp_path)
    choice = min(next_runs.suggested(ladder, scene.person()).choices, key=lambda each: each.width)
    width, noise = _deviation(ladder)
    rung = actions.add_rung(ladder, scene.person(), parameters=choice.run.plan["N"], tokens=choice.run.plan["D"])
    ladders.train(rung, quiet)
    ladders.fit(ladder, tmp_path)
    after, noise_after = _deviation(ladder)
    assert choice.width < 0.9
    assert (after / noise_after) / (width / noise) == pytest.approx(choice.width, rel=0.05)


def _deviation(ladder: Ladder) -> tuple[float, float]:
    """(of the prediction at the target, of the noise), from the covariance of the latest fit."""
    from gpu_jobs.engine.laws.planning import covariance, derivatives
    from webapp.scaling import queries, reading

    assert ladder.fit is not None
    revision = queries.latest(ladder.fit)
    assert revision is not None
    found: Any = reading.read(revision.run)
    problem = found.problem()
    best = problem.fitted(found.parameters)
    state, noise = covariance(problem, best)
    target = next_runs.suggested(ladder, scene.person()).target
    assert target is not None
    row = derivatives(problem, best, {name: np.array([value]) for name, value in target.at.items()})[0]
    return float(np.sqrt(row @ state @ row)), float(np.sqrt(noise))


def test_without_a_fit_or_a_law_with_an_optimum_it_says_why(tmp_path: Path) -> None:
    assert "no fit yet" in next_runs.suggested(ladders.create(), scene.person()).reason
    ladder = ladders.create(law={"name": "power"})
    ladders.train_all(ladder)
    ladders.fit(ladder, tmp_path)
    found = next_runs.suggested(ladder, scene.person())
    assert found.choices == [] and "'power' does not tell a best N and D" in found.reason
