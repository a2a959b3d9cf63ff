"""Who gets another seed."""

from __future__ import annotations

import numpy as np

from webapp.sweeps.definition import Seeds
from webapp.sweeps.replicates import wanted

GOOD, GOOD_TOO, BAD = [1.0, 1.1, 0.9], [1.1, 1.0, 1.05], [9.0, 9.1, 8.9]


def test_without_racing_everybody_gets_all_tuning_seeds():
    assert wanted(Seeds(tune=3), {1: [0.5], 2: [], 7: [9.0, 9.0]}, 1.0) == {1: 3, 2: 3, 7: 3}


def test_a_race_begins_with_racing_from_seeds():
    assert wanted(Seeds(tune=5, racing=True, racing_from=2), {1: [], 2: []}, 1.0) == {1: 2, 2: 2}
    assert wanted(Seeds(tune=5, racing=True, racing_from=3), {1: [1.0], 2: [9.0]}, 1.0) == {1: 3, 2: 3}


def test_racing_never_asks_for_more_than_the_tuning_seeds():
    assert wanted(Seeds(tune=2, racing=True, racing_from=5), {1: [1.0]}, 1.0) == {1: 2}
    assert wanted(Seeds(tune=3, racing=True), {1: GOOD, 2: GOOD_TOO}, 1.0) == {1: 3, 2: 3}


def test_only_contenders_get_one_more():
    assert wanted(Seeds(tune=9, racing=True), {1: GOOD, 2: GOOD_TOO, 3: BAD}, 1.0) == {1: 4, 2: 4, 3: 3}


def test_where_more_is_better_the_large_ones_go_on():
    assert wanted(Seeds(tune=9, racing=True), {1: GOOD, 2: GOOD_TOO, 3: BAD}, -1.0) == {1: 3, 2: 3, 3: 4}


def test_those_who_are_behind_catch_up_first():
    found = wanted(Seeds(tune=9, racing=True), {1: GOOD, 2: GOOD_TOO[:2], 4: [1.0]}, 1.0)
    assert found == {1: 3, 2: 2, 4: 2}


def test_seeds_that_were_run_are_never_taken_back():
    assert wanted(Seeds(tune=2), {1: GOOD}, 1.0) == {1: 3}
    assert wanted(Seeds(tune=2, racing=True), {1: GOOD, 2: BAD}, 1.0) == {1: 3, 2: 3}


def test_a_race_ends_with_the_best_at_all_seeds_and_the_bad_with_fewer():
    rng, seeds = np.random.default_rng(0), Seeds(tune=8, racing=True, racing_from=2)
    runs = {trial: list(rng.normal(20 * trial, 1, 8)) for trial in range(4)}
    has = dict.fromkeys(runs, 2)
    for _ in range(40):
        has = wanted(seeds, {trial: values[: has[trial]] for trial, values in runs.items()}, 1.0)
    assert has[0] == 8
    assert all(n < 8 for trial, n in has.items() if trial)
