"""The front of score against parameters: by brute force, with exact counts, and a volume that only grows."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sweeps.protocols.study import FINETUNE, Series, row
from webapp.sweeps.protocols import autopeft as protocol

KNOBS = protocol.Knobs(name="autopeft", sampler="random")
TRIALS = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=20)


def rows_of(trials: list[tuple[int, int]]) -> list[Any]:
    return [row({"method.rank": n}, loss / 10, trainable=count, trial=n) for n, (loss, count) in enumerate(trials)]


@given(trials=TRIALS)
@settings(deadline=None, max_examples=40)
def test_no_trial_of_the_front_is_dominated_and_every_other_one_is(trials: list[tuple[int, int]]) -> None:
    result = protocol.analyse(KNOBS, rows_of(trials), Series(), {})
    for point in result.points:
        beaten = any(
            other.score <= point.score and other.trainable <= point.trainable
            and (other.score, other.trainable) != (point.score, point.trainable)
            for other in result.points
        )  # fmt: skip
        assert point.on_front == (not beaten)
    volumes = [volume.hypervolume for volume in result.volumes]
    assert volumes == sorted(volumes)
    assert [volume.trials for volume in result.volumes] == list(range(1, len(trials) + 1))


def test_trials_hold_the_exact_counts_and_those_without_one_are_left_out() -> None:
    rows = [*rows_of([(3, 12_345)]), row({}, 1.0, trial=7, trainable=None)]
    result = protocol.analyse(KNOBS, rows, Series(), {})
    assert [point.trainable for point in result.points] == [12_345]


def test_where_more_is_better_the_front_turns() -> None:
    asked = KNOBS.model_copy(update={"goal": "maximize"})
    result = protocol.analyse(asked, rows_of([(3, 10), (5, 10), (9, 99)]), Series(), {})
    assert [point.score for point in result.front] == [0.5, 0.9]


def test_the_plan_searches_modules_and_sizes_for_two_objectives() -> None:
    (planned,) = protocol.plan(KNOBS, FINETUNE)
    assert set(planned.definition["search"]["space"]) == {"method.name", "method.rank", "method.targets"}
    assert [one["metric"] for one in planned.definition["objective"]] == ["eval/loss", "parameters/trainable"]
    assert planned.definition["trials"] == 200
