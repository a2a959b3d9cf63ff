"""Population based training: who goes on from whom, with which knobs; and on a problem where it must win."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from webapp.runs import specs
from webapp.sweeps.definition import Objective, Search
from webapp.sweeps.errors import Exhausted
from webapp.sweeps.search import expressions
from webapp.sweeps.search.asking import Observation, Point
from webapp.sweeps.search.samplers import pbt
from webapp.sweeps.states import TrialStatus

LOSS = [Objective(metric="eval/loss")]
LR = {"low": 1e-4, "high": 1e-1, "log": True}
OPEN, DONE = TrialStatus.RUNNING, TrialStatus.SUCCEEDED
SPEC: dict[str, Any] = {
    "kind": "pretrain",
    "model": {"source": "builtin", "name": "nano"},
    "data": {"source": "builtin", "name": "language-reference"},
    "schedule": {"name": "constant"},
    "checkpoint_at_end": True,
}
LORA = {**SPEC, "kind": "finetune", "model": {"source": "run", "run": 1}, "method": {"name": "lora"}}


def search(space: dict[str, Any] | None = None, constraints: tuple[str, ...] = (), **knobs: Any) -> Search:
    sampler = {"name": "pbt", "population": 4, "interval_steps": 10, **knobs}
    return Search.model_validate(
        {"sampler": sampler, "space": space or {"optimizer.lr": LR}, "constraints": list(constraints)}
    )


def propose(asked: Search, history: list[Observation], count: int = 1, objectives: Any = LOSS) -> list[Point]:
    return pbt.propose(asked.sampler, asked, objectives, history, count)  # type: ignore[arg-type]


def member(number: int, value: float | None = None, status: TrialStatus = DONE, **fields: Any) -> Observation:
    params = fields.pop("params", {"optimizer.lr": 0.001 * number})
    values = None if value is None else [value]
    return Observation(number, params, OPEN if value is None and status == DONE else status, values, **fields)


FOUR = [member(1, 1.0), member(2, 2.0), member(3, 3.0), member(4, 4.0)]


def test_a_population_begins_with_random_points_of_one_interval() -> None:
    points = propose(search(), [], 9)
    assert len(points) == 4 and len({point.params["optimizer.lr"] for point in points}) == 4
    for point in points:
        assert (point.parent, point.generation, point.steps) == (None, 0, 10)
        assert 1e-4 <= point.params["optimizer.lr"] <= 1e-1
    assert propose(search(), [member(n) for n in range(1, 5)]) == []


def test_one_question_for_two_is_two_questions_for_one_and_nothing_is_remembered() -> None:
    asked = search()
    first = propose(asked, FOUR)[0]
    assert propose(asked, FOUR) == [first]
    then = [*FOUR, Observation(5, first.params, TrialStatus.QUEUED, None, first.parent, first.generation)]
    assert propose(asked, FOUR, 2) == [first, *propose(asked, then)]


def test_the_worst_goes_on_as_a_copy_of_the_best_and_the_others_as_themselves() -> None:
    points = propose(search(), FOUR, 9)
    assert [(point.generation, point.steps) for point in points] == [(1, 20)] * 4
    own = {point.parent: point.params for point in points[:3]}
    assert own == {one.number: one.params for one in FOUR[:3]}
    assert points[3].parent == 1 and points[3].params != FOUR[0].params


def test_maximising_turns_the_order() -> None:
    points = propose(search(), FOUR, 9, [Objective(metric="eval/accuracy", goal="maximize")])
    assert Counter(point.parent for point in points) == {4: 2, 3: 1, 2: 1}


def test_nobody_waits_for_the_others_and_each_has_one_successor() -> None:
    """Members end one by one; after each the population is whole again, whoever was compared with whom."""
    asked, history = search(population=8), []
    random = np.random.default_rng(0)
    for _ in range(200):
        for point in propose(asked, history, 8 - sum(one.status == OPEN for one in history)):
            fields = {"params": point.params, "parent": point.parent, "generation": point.generation}
            history.append(member(len(history) + 1, **fields))
        running = [place for place, one in enumerate(history) if one.status == OPEN]
        assert len(running) == 8
        place = int(random.choice(running))
        history[place] = history[place]._replace(status=DONE, values=[float(random.normal())])
    sizes = Counter(one.generation for one in history)
    assert all(size <= 8 for size in sizes.values()) and sizes[0] == sizes[1] == 8
    for one in history:
        if one.parent is not None:
            assert history[one.parent - 1].generation == one.generation - 1


@pytest.mark.parametrize(
    "status", [TrialStatus.FAILED, TrialStatus.DIVERGED, TrialStatus.OUT_OF_MEMORY, TrialStatus.STOPPED]
)
def test_a_member_that_did_not_end_well_is_replaced(status: TrialStatus) -> None:
    history = [*FOUR[:3], member(4, 0.0 if status == TrialStatus.STOPPED else None, status)]
    assert Counter(point.parent for point in propose(search(), history, 9)) == {1: 2, 2: 1, 3: 1}


def test_a_value_that_is_no_number_is_worst() -> None:
    history = [member(1, math.nan), *FOUR[1:3], member(4, 1.0)]
    assert Counter(point.parent for point in propose(search(), history, 9)) == {4: 2, 2: 1, 3: 1}


def test_a_cancelled_member_leaves_the_population() -> None:
    history = [*FOUR[:3], member(4, None, TrialStatus.CANCELLED)]
    assert sorted(point.parent or 0 for point in propose(search(), history, 9)) == [1, 2, 3]


def test_when_all_have_failed_there_is_nothing_to_go_on_from() -> None:
    failed = [member(number, None, TrialStatus.FAILED) for number in range(1, 5)]
    with pytest.raises(Exhausted, match="No member of generation 0 has ended well"):
        propose(search(), failed)
    assert propose(search(), [*failed[:3], member(4)]) == [], "the last one may still end well"


def test_several_objectives_are_refused() -> None:
    with pytest.raises(Exhausted, match="one objective"):
        propose(search(), [], 1, LOSS * 2)


def copies(asked: Search, best: dict[str, Any], count: int = 200) -> list[dict[str, Any]]:
    """What becomes of the best member's knobs in as many copies."""
    found = []
    for seed in range(count):
        seeded = asked.model_copy(update={"seed": seed})
        history = [member(1, 1.0, params=best), *(member(number, 9.0, params=best) for number in (2, 3, 4))]
        found.append(propose(seeded, history, 4)[3].params)
    return found


def test_a_number_is_multiplied_by_one_of_the_factors_inside_its_range() -> None:
    found = {point["optimizer.lr"] for point in copies(search(resample=0), {"optimizer.lr": 0.01})}
    assert sorted(found) == pytest.approx([0.008, 0.012])
    at_the_edge = {point["optimizer.lr"] for point in copies(search(resample=0), {"optimizer.lr": 0.1})}
    assert sorted(at_the_edge) == pytest.approx([0.08, 0.1])


def test_whole_numbers_and_steps_are_kept() -> None:
    space = {"batch_size": {"low": 2, "high": 64}, "clip_norm": {"low": 0.5, "high": 2.0, "step": 0.5}}
    for point in copies(search(space), {"batch_size": 10, "clip_norm": 1.5}):
        assert isinstance(point["batch_size"], int) and 2 <= point["batch_size"] <= 64
        assert point["clip_norm"] in (0.5, 1.0, 1.5, 2.0)
    assert {
        point["batch_size"] for point in copies(search(space, resample=0), {"batch_size": 10, "clip_norm": 1.5})
    } == {8, 12}


def test_a_choice_moves_to_its_neighbour() -> None:
    space = {"method.dropout": {"choices": [0.0, 0.1, 0.2, 0.3]}}
    assert {point["method.dropout"] for point in copies(search(space, resample=0), {"method.dropout": 0.1})} == {
        0.0,
        0.2,
    }
    assert {point["method.dropout"] for point in copies(search(space, resample=0), {"method.dropout": 0.3})} == {
        0.2,
        0.3,
    }


def test_resampled_knobs_come_from_the_whole_range() -> None:
    """By chance `resample`: 200 copies, each kept near with probability 0.75; bounds at 4 standard deviations."""
    found = [point["optimizer.lr"] for point in copies(search(resample=0.25), {"optimizer.lr": 0.001})]
    near = sum(math.isclose(value, 0.0008) or math.isclose(value, 0.0012) for value in found)
    assert abs(near - 150) < 4 * math.sqrt(200 * 0.25 * 0.75)
    everywhere = [point["optimizer.lr"] for point in copies(search(resample=1), {"optimizer.lr": 0.001})]
    assert np.log10(everywhere).mean() == pytest.approx(-2.5, abs=4 * 3 / math.sqrt(12 * 200))


def test_a_knob_that_begins_to_count_gets_a_value_and_one_that_ends_to_count_is_dropped() -> None:
    space = {"schedule.name": {"choices": ["constant", "wsd"]},
             "schedule.decay": {"low": 0.1, "high": 0.5, "when": {"schedule.name": ["wsd"]}}}  # fmt: skip
    up = copies(search(space, resample=0), {"schedule.name": "constant"}, 20)
    assert {frozenset(point) for point in up} == {frozenset({"schedule.name"}), frozenset(space)}
    down = copies(search(space, resample=0), {"schedule.name": "wsd", "schedule.decay": 0.2}, 20)
    assert {frozenset(point) for point in down} == {frozenset({"schedule.name"}), frozenset(space)}


def test_constraints_hold_for_new_members_and_for_copies() -> None:
    space = {"optimizer.beta1": {"low": 0.1, "high": 0.9}, "optimizer.beta2": {"low": 0.1, "high": 0.9}}
    rule = "optimizer.beta1 < optimizer.beta2"
    holds = expressions.compile(rule, space).holds
    asked = search(space, (rule,), population=20)
    assert all(holds(point.params) for point in propose(asked, [], 20))
    tight = {"optimizer.beta1": 0.5, "optimizer.beta2": 0.51}
    assert all(holds(point) for point in copies(search(space, (rule,)), tight, 50))


def messages(asked: Search, spec: dict[str, Any]) -> dict[str, str]:
    filled = specs.checked(spec).model_dump(mode="json")
    return {".".join(map(str, error["loc"])): error["msg"] for error in pbt.check(asked, filled)}


@pytest.mark.parametrize(
    ("path", "dimension"),
    [
        ("method.rank", {"low": 2, "high": 8}),
        ("method.name", {"choices": ["lora", "full"]}),
        ("method.targets", {"choices": ["attention", "all"]}),
        ("model.run", {"low": 1, "high": 2}),
        ("sequence_length", {"choices": [16, 32]}),
        ("data.name", {"choices": ["language-reference", "stdlib-source"]}),
        ("seed", {"low": 0, "high": 5}),
        ("steps", {"low": 10, "high": 50}),
        ("optimizer.name", {"choices": ["adamw", "sgd"]}),
    ],
)
def test_what_a_checkpoint_depends_on_is_refused(path: str, dimension: dict[str, Any]) -> None:
    found = messages(search({path: dimension, "optimizer.lr": LR}), LORA)
    assert list(found) == [f"search.space.{path}"]
    assert found[f"search.space.{path}"].startswith(f"{path} can't change while training goes on: ")


def test_what_the_optimizer_keeps_of_a_weight_is_not_changed() -> None:
    spec = {**SPEC, "optimizer": {"name": "cosmos"}}
    found = messages(
        search({"optimizer.rank": {"low": 2, "high": 8}, "optimizer.ratio": {"low": 0.1, "high": 0.2}}), spec
    )
    assert list(found) == ["search.space.optimizer.rank"]
    assert "it changes what the optimizer keeps" in found["search.space.optimizer.rank"]


def test_what_may_change_is_let_pass() -> None:
    space = {
        "optimizer.lr": LR, "optimizer.weight_decay": {"low": 0.0, "high": 0.1}, "method.alpha": {"low": 1, "high": 64},
        "method.dropout": {"choices": [0.0, 0.1]}, "method.rslora": {"choices": [True, False]},
        "batch_size": {"low": 4, "high": 8}, "schedule.warmup_steps": {"low": 0, "high": 5},
    }  # fmt: skip
    assert messages(search(space), LORA) == {}


def test_a_spec_without_its_last_checkpoint_or_with_a_falling_rate_is_refused() -> None:
    assert list(messages(search(), {**SPEC, "checkpoint_at_end": False})) == ["spec.checkpoint_at_end"]
    for name in ("cosine", "linear"):
        assert "choose constant" in messages(search(), {**SPEC, "schedule": {"name": name}})["spec.schedule"]
    falling = {"schedule.name": {"choices": ["constant", "cosine"]}}
    assert "spec.schedule" in messages(search(falling), SPEC)


def test_a_population_gets_past_where_each_of_its_members_would_stay() -> None:
    """The toy problem of the paper's figure 2: theta is judged by its square, and descends h0 theta0^2 + h1 theta1^2.

    With h = (1, 0) or (0, 1) one half of theta never moves, so alone no member falls below 0.9^2.
    """
    asked = search({"h0": {"low": 0.0, "high": 1.0}, "h1": {"low": 0.0, "high": 1.0}}, population=2, quantile=0.5)
    thetas: list[np.ndarray] = []
    history: list[Observation] = []

    def train(point: Point) -> None:
        theta = thetas[point.parent - 1] if point.parent else np.array([0.9, 0.9])
        thetas.append(theta * (1 - 0.02 * np.array([point.params["h0"], point.params["h1"]])) ** 10)
        fields = {"params": point.params, "parent": point.parent, "generation": point.generation}
        history.append(member(len(history) + 1, float((thetas[-1] ** 2).sum()), **fields))

    for start in ({"h0": 1.0, "h1": 0.0}, {"h0": 0.0, "h1": 1.0}):
        train(Point(start))
    while len(history) < 60:
        for point in propose(asked, history, 2):
            train(point)
    assert min(one.values[0] for one in history if one.values) < 0.9**2 / 4
    assert [one.generation for one in history] == [place // 2 for place in range(60)]
