"""Tuned here, tested there: leaks are refused, gaps told, both rankings shown."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps.protocols.study import PRETRAIN, Series, row
from webapp.accounts.errors import Invalid
from webapp.sweeps.protocols import tune_score_split as split
from webapp.sweeps.protocols import tune_test_seeds as seeds

SEEDS = seeds.Knobs(name="tune_test_seeds")
SPLIT = split.Knobs(name="tune_score_split")
SAMPLERS = {1: {"sampler": "random"}, 2: {"sampler": "tpe"}}
PARTS = {1: {"part": "tune"}, 2: {"part": "score"}}
OTHER = {**PRETRAIN, "data": {"source": "builtin", "name": "stdlib-source"}}


def tuned(sweep: int, trial: int, *losses: float) -> list[Any]:
    return [row({"lr": trial}, loss, sweep=sweep, trial=trial, seed=seed) for seed, loss in enumerate(losses)]


def on_test(sweep: int, trial: int, *losses: float) -> list[Any]:
    return [
        row({"lr": trial}, None, sweep=sweep, trial=trial, seed=10_000 + seed, role="test", metrics={"test/loss": loss})
        for seed, loss in enumerate(losses)
    ]


def test_the_winner_by_tuning_is_reported_on_the_test_split_and_ranked_both_ways() -> None:
    rows = [*tuned(1, 1, 2.0, 2.2), *tuned(1, 2, 3.0, 3.0), *on_test(1, 1, 2.8, 3.0),
            *tuned(2, 1, 2.4, 2.4), *on_test(2, 1, 2.5, 2.5)]  # fmt: skip
    first, second = seeds.analyse(SEEDS, rows, Series(), SAMPLERS).standings
    assert (first.sampler, first.trial, first.tuned, first.tested) == (
        "random",
        1,
        pytest.approx(2.1),
        pytest.approx(2.9),
    )
    assert first.gap == pytest.approx(0.8)
    # Student's t with one degree of freedom: 12.706 times .1
    assert (first.low, first.high) == (pytest.approx(2.9 - 1.2706, abs=1e-4), pytest.approx(2.9 + 1.2706, abs=1e-4))
    assert [(s.tuned_rank, s.tested_rank) for s in (first, second)] == [(1, 2), (2, 1)]
    assert (first.budget, first.tuned_seeds, first.tested_seeds) == (4, 2, 2)


def test_a_seed_that_did_both_is_refused_by_name() -> None:
    leak = row({}, 2.0, trial=1, seed=1, role="test")
    with pytest.raises(Invalid, match="Tuning and test seeds must not meet: 1 did both"):
        seeds.analyse(SEEDS, [*tuned(1, 1, 2.0, 2.2), leak], Series(), SAMPLERS)


def test_a_trial_that_diverged_on_a_seed_does_not_win() -> None:
    rows = [row({}, 1.0, trial=1, trial_status="diverged"), *tuned(1, 2, 2.0)]
    (found,) = seeds.analyse(SEEDS, rows, Series(), SAMPLERS).standings
    assert (found.trial, found.tested, found.tested_rank) == (2, None, None)


def test_seeds_of_a_plan_are_kept_apart() -> None:
    planned = seeds.plan(seeds.Knobs(name="tune_test_seeds", samplers=["random"], tune=3, test=5), PRETRAIN)
    assert planned[0].definition["seeds"] == {"tune": 3, "test": 5}
    with pytest.raises(Invalid, match="There is no sampler 'dice'"):
        seeds.plan(seeds.Knobs(name="tune_test_seeds", samplers=["dice"]), PRETRAIN)


def test_what_won_on_a_is_judged_on_b() -> None:
    rows = [
        row({"lr": n}, loss, sweep=sweep, trial=n, spec=spec)
        for sweep, spec, losses in ((1, PRETRAIN, [1.0, 2.0, 3.0]), (2, OTHER, [4.0, 3.5, 5.0]))
        for n, loss in enumerate(losses)
    ]
    result = split.analyse(SPLIT, rows, Series(), PARTS)
    assert (result.winner, result.tuned, result.scored) == ({"lr": 0}, 1, 4)
    assert (result.gap, result.regret) == (3, 0.5)
    assert [(p.tuned_rank, p.scored_rank) for p in result.points] == [(1, 2), (2, 1), (3, 3)]
    assert result.agreement == pytest.approx(1 / 3)


def test_tuning_and_scoring_on_the_same_data_is_refused() -> None:
    rows = [row({}, 1.0, sweep=sweep, spec=PRETRAIN) for sweep in (1, 2)]
    with pytest.raises(Invalid, match="must not use the same data"):
        split.analyse(SPLIT, rows, Series(), PARTS)
    with pytest.raises(Invalid, match="'language-reference' is the base run's"):
        split.plan(SPLIT.model_copy(update={"score_on": "language-reference"}), PRETRAIN)


def test_both_parts_draw_the_same_points() -> None:
    one, other = split.plan(SPLIT, PRETRAIN)
    assert one.definition["search"] == other.definition["search"]
    assert other.definition["spec"]["data"] == {"source": "builtin", "name": "stdlib-source"}
