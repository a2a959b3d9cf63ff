"""Methods side by side: points and budgets counted exactly, each method by its best rate, ranks and differences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from gpu_jobs import cost
from gpu_jobs import registry as jobs
from gpu_jobs import spec as specs
from tests.sweeps.protocols.study import FINETUNE, PRETRAIN, Series, row
from webapp.accounts.errors import Invalid
from webapp.sweeps import checking, equal_budget
from webapp.sweeps.definition import Definition
from webapp.sweeps.protocols import method_comparison as protocol
from webapp.sweeps.specs import spec_of

T2 = 4.302653  # Student's t, two degrees of freedom, 97.5 %
EVERY = sorted({*jobs.methods("adapters"), *jobs.methods("strategies")})


def knobs(**changes: Any) -> protocol.Knobs:
    return protocol.Knobs(name="method_comparison", **changes)


def planned(base: dict[str, Any] = FINETUNE, **changes: Any) -> Any:
    (one,) = protocol.plan(knobs(**changes), base)
    return one


def points(base: dict[str, Any] = FINETUNE, **changes: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = planned(base, **changes).definition["search"]["sampler"]["points"]
    return found


def per_step(definition: Definition, point: dict[str, Any]) -> float:
    """FLOPs of one step of the run that this point becomes."""
    plan = cost.plan(specs.parse(spec_of(definition, point, 0)), bf16=False)
    return float(plan.flops["per_step"])  # type: ignore[arg-type]


@pytest.fixture
def suggesting(monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """LoRA's file suggests a learning rate."""
    monkeypatch.setattr(jobs.methods("adapters")["lora"].module, "LR", 2e-3, raising=False)
    yield 2e-3


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No method's file suggests a learning rate."""
    for family in equal_budget.FAMILIES:
        for method in jobs.methods(family).values():
            monkeypatch.delattr(method.module, "LR", raising=False)


# The plan


def test_all_methods_that_fit_are_one_sweep_with_a_point_each() -> None:
    one = planned()
    fit = [name for name in EVERY if name not in one.labels["left_out"]]
    assert {"lora", "full"} <= set(fit)
    assert sorted(point["method.name"] for point in one.definition["search"]["sampler"]["points"]) == fit
    assert (one.definition["trials"], one.definition["seeds"]["tune"]) == (len(fit), 3)
    assert checking.checked(one.definition).runs == 3 * len(fit)


def test_a_family_or_names_choose_the_methods() -> None:
    assert {point["method.name"] for point in points(methods=["strategies"])} <= set(jobs.methods("strategies"))
    assert {point["method.name"] for point in points(methods=["lora"], baseline="lora")} == {"lora"}
    with pytest.raises(Invalid, match="There is no method 'magic' among adapters and strategies"):
        points(methods=["magic"])


def test_rates_lie_around_the_bases_own_and_test_seeds_report(silent: None) -> None:
    one = planned(methods=["lora", "full"], factors=[0.5, 1, 3], tuning_seeds=2, seeds=4)
    rates = {(p["method.name"], p["optimizer.lr"]) for p in one.definition["search"]["sampler"]["points"]}
    assert rates == {(name, lr) for name in ("lora", "full") for lr in (5e-4, 1e-3, 3e-3)}
    checked = checking.checked(one.definition)
    assert (checked.seeds.tune, checked.seeds.test, checked.seeds.test_each) == (2, 4, "method.name")
    assert checked.runs == 6 * 2 + 2 * 4


def test_a_methods_own_suggestion_goes_before_the_bases_rate(suggesting: float) -> None:
    rates = {
        p["method.name"]: p["optimizer.lr"] for p in points(methods=["lora", "full"], method_rates={"full": [7e-4]})
    }
    assert rates == {"lora": suggesting, "full": 7e-4}
    with pytest.raises(Invalid, match="There are no runs by magic"):
        points(method_rates={"magic": [1.0]})
    with pytest.raises(Invalid, match="Name at least one learning rate of lora"):
        points(method_rates={"lora": []})


def test_the_bases_method_keeps_the_knobs_it_has_there() -> None:
    definition = Definition.model_validate(planned(methods=["lora", "full"]).definition)
    found = [spec_of(definition, point, 0)["method"] for point in points(methods=["lora", "full"])]
    assert {"name": "lora", "rank": 2} in found and {"name": "full"} in found


@pytest.mark.parametrize("amount", [None, 1e9, 3.7e9])
def test_equal_flops_are_equal_within_one_step(amount: float | None) -> None:
    one = planned(held="flops", amount=amount)
    definition = checking.checked(one.definition)
    budget = one.labels["amount"]
    for point in definition.search.sampler.points:  # type: ignore[attr-defined]
        each = per_step(definition, point)
        steps = point.get("steps", definition.spec["steps"])
        assert 0 <= budget - steps * each < each
    if amount is None:
        full = next(p for p in definition.search.sampler.points if p["method.name"] == "full")  # type: ignore[attr-defined]
        assert full["steps"] == FINETUNE["steps"]
        assert budget == FINETUNE["steps"] * per_step(definition, full)


def test_an_adapters_cheaper_backward_gets_it_more_steps() -> None:
    """4 N + 2 Nt instead of 6 N: with few trained weights, nearly 3/2 as many, less what attention takes of both."""
    steps = {p["method.name"]: p["steps"] for p in points(methods=["lora", "full"], held="flops", amount=1e10)}
    assert 1.2 < steps["lora"] / steps["full"] < 1.5


def test_equal_tokens_are_counted_by_batch_and_length() -> None:
    one = planned(methods=["lora", "full"], held="tokens", amount=4 * 16 * 33 + 7)
    assert one.labels["steps"] == {"lora": 33, "full": 33}
    assert one.definition["spec"]["steps"] == 33
    assert all("steps" not in point for point in one.definition["search"]["sampler"]["points"])


def test_a_budget_below_a_single_step_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="100 FLOPs are less than one step of lora, full"):
        points(methods=["lora", "full"], held="flops", amount=100)


def test_without_the_baseline_an_unequal_budget_must_be_named() -> None:
    with pytest.raises(Invalid, match="Say how many FLOPs each method may spend: the baseline 'nobody'"):
        points(methods=["lora", "full"], held="flops", baseline="nobody")
    assert "The baseline 'nobody' is not among the methods." in planned(baseline="nobody").notes


def test_a_method_that_cannot_serve_the_base_is_left_out_with_its_reason() -> None:
    """An adapter of named modules of another architecture finds nothing to adapt here."""
    base = {**FINETUNE, "method": {"name": "lora", "targets": ["c_attn"]}}
    one = planned(base, methods=["lora", "full"])
    assert set(one.labels["left_out"]) == {"lora"}
    assert any(note.startswith("lora is left out: ") for note in one.notes)
    assert [p["method.name"] for p in one.definition["search"]["sampler"]["points"]] == ["full"]
    with pytest.raises(Invalid, match=r"None of these methods can train this base\. lora: "):
        planned(base, methods=["lora"])


def test_a_broken_base_is_told_once_for_all() -> None:
    with pytest.raises(Invalid, match="None of these methods can train this base"):
        planned({**PRETRAIN, "sequence_length": 1000})


@pytest.mark.django_db
def test_equal_time_needs_measured_steps_and_goes_by_them() -> None:
    from tests.runs import scene as runs
    from tests.sweeps import scene

    base = {**FINETUNE, "batch_size": 4}
    with pytest.raises(Invalid, match="no finished run has measured how long a step takes by lora, full"):
        points(base, methods=["lora", "full"], held="time", amount=10)
    for method, rates in (("lora", [80.0, 8.0, 80.0]), ("full", [40.0])):
        for rate in rates:  # samples a second: the median counts
            spec = {**base, "method": {"name": method, "rank": 2} if method == "lora" else {"name": method}}
            attempt = scene.begin(runs.submit(spec=spec))
            scene.end(attempt, _result(rate))
    steps = {p["method.name"]: p["steps"] for p in points(base, methods=["lora", "full"], held="time", amount=10)}
    assert steps == {"lora": 10 * 80 / 4, "full": 10 * 40 / 4}


def _result(rate: float) -> Any:
    from gpu_jobs.events import Result

    return Result(values={"wall_time_s": 1.0, "speed": {"samples_per_second": rate}})


# The analysis


def run(method: str, loss: float | None, seed: int = 0, lr: float = 1e-3, **more: Any) -> Any:
    point = {"method.name": method, "optimizer.lr": lr}
    trial = TRIALS.setdefault((method, lr), len(TRIALS) + 1)
    return row(point, loss, trial=trial, seed=seed, spec=FINETUNE, **more)


TRIALS: dict[tuple[str, float], int] = {}


def test_means_differences_and_ranks_are_those_of_the_equations() -> None:
    """Paired over seeds: lora - full is .3, .1, .2, so .2 +- t .1 / sqrt 3; prefix - full is .5, -.5, 0."""
    full, lora, prefix = (1.0, 1.2, 1.1), (1.3, 1.3, 1.3), (1.5, 0.7, 1.1)
    rows = [run(name, loss, seed) for name, losses in (("full", full), ("lora", lora), ("prefix", prefix))
            for seed, loss in enumerate(losses)]  # fmt: skip
    result = protocol.analyse(knobs(), rows, Series(), {})
    told = {one.method: one for one in result.ranking}
    assert {name: one.rank for name, one in told.items()} == {"full": 1, "prefix": 1, "lora": 3}
    assert [one.seeds for one in result.ranking] == [3, 3, 3]
    assert result.baseline_score == pytest.approx(1.1)
    half = T2 * 0.1 / math.sqrt(3)
    assert (told["full"].low, told["full"].high) == (pytest.approx(1.1 - half), pytest.approx(1.1 + half))
    assert told["lora"].difference == pytest.approx(0.2)
    assert told["lora"].difference_low == pytest.approx(0.2 - half, abs=1e-6)
    assert told["lora"].difference_high == pytest.approx(0.2 + half, abs=1e-6)
    assert (told["full"].verdict, told["prefix"].verdict, told["lora"].verdict) == (
        "baseline", "below noise", "below noise",
    )  # fmt: skip
    clear = [run("full", 1.0 + s / 100, s) for s in range(3)] + [run("lora", 1.5 + s / 100, s) for s in range(3)]
    worse = protocol.analyse(knobs(), clear, Series(), {}).ranking[1]
    assert (worse.method, worse.verdict) == ("lora", "worse")
    better = protocol.analyse(knobs(goal="maximize"), clear, Series(), {}).ranking[0]
    assert (better.method, better.verdict, better.rank) == ("lora", "better", 1)


def test_a_method_stands_by_its_best_rate_as_the_test_seeds_saw_it() -> None:
    rows = [run("full", 2.0, 0, 1e-3), run("full", 1.5, 0, 1e-2), run("lora", 1.8, 0, 1e-3), run("lora", 1.9, 0, 1e-2)]
    rows += [run("full", None, 10_000 + s, 1e-2, role="test", metrics={"test/loss": 1.6 + s / 10}) for s in range(2)]
    rows += [run("lora", None, 10_000 + s, 1e-3, role="test", metrics={"test/loss": 1.4 + s / 10}) for s in range(2)]
    result = protocol.analyse(knobs(), rows, Series(), {})
    first, second = result.ranking
    assert (first.method, first.lr, first.tuned, first.rates, first.seeds) == ("lora", 1e-3, 1.8, 2, 2)
    assert (first.score, second.score) == (pytest.approx(1.45), pytest.approx(1.65))
    assert (second.method, second.lr, second.tuned) == ("full", 1e-2, 1.5)
    assert result.metric == "test/loss"


def test_until_the_test_seeds_have_run_it_says_that_rates_were_chosen_on_these() -> None:
    rows = [run("full", 2.0, 0, 1e-3), run("full", 1.5, 0, 1e-2)]
    assert any(
        "Rates were chosen on these very seeds" in note for note in protocol.analyse(knobs(), rows, Series(), {}).notes
    )


def test_the_base_is_what_the_baselines_runs_measured_before_their_first_step() -> None:
    """Adapters that change the base before they are trained don't count."""
    before = {"before": {"eval/loss": 1.2}}
    rows = [run("full", loss, seed, result=before) for seed, loss in enumerate((1.0, 1.1, 1.05))]
    rows += [
        run("lora", loss, seed, result={"before": {"eval/loss": 5.0}}) for seed, loss in enumerate((1.1, 1.2, 1.3))
    ]
    result = protocol.analyse(knobs(), rows, Series(), {})
    assert result.base_score == 1.2
    told = {one.method: (one.to_base, one.base_verdict) for one in result.ranking}
    # full: mean 1.05, half of the interval t .05 / sqrt 3 = .124; lora: mean 1.2
    assert told == {"full": (pytest.approx(-0.15), "better"), "lora": (pytest.approx(0.0), "below noise")}


def test_costs_are_the_means_of_what_the_runs_measured() -> None:
    result = {"stored_bytes": 4000, "memory": {"peak_bytes": 9e6}, "speed": {"tokens_per_second": 500.0},
              "wall_time_s": 8.0, "flops": {"total": 1e9}}  # fmt: skip
    watts = {"system/gpu0_power_watts": [100.0, 300.0]}
    rows = [run("lora", 1.0, seed, trainable=250, total=1000, metrics=watts,
                result={**result, "wall_time_s": 8.0 + seed}) for seed in (0, 2)]  # fmt: skip
    (cost_,) = protocol.analyse(knobs(baseline="lora"), rows, Series(), {}).costs
    assert (cost_.trainable, cost_.share, cost_.stored_bytes, cost_.peak_memory_bytes) == (250, 0.25, 4000, 9e6)
    assert (cost_.tokens_per_second, cost_.wall_time_s, cost_.flops) == (500, 9, 1e9)
    assert cost_.energy_kwh == pytest.approx(200 * 9 / 3600 / 1000)


def test_what_failed_is_counted_and_named() -> None:
    rows = [run("full", 1.0), run("lora", None, lr=1e-2, status="diverged"),
            run("lora", None, lr=1e-1, status="diverged"), run("prefix", None, status="out_of_memory")]  # fmt: skip
    result = protocol.analyse(knobs(), rows, Series(), {1: {"left_out": {"bitfit": "It has no biases."}}})
    assert [(one.method, one.lr, one.status, one.trials) for one in result.lost] == [
        ("lora", 1e-2, "diverged", 1), ("lora", 1e-1, "diverged", 1), ("prefix", 1e-3, "out of memory", 1),
    ]  # fmt: skip
    assert [one.method for one in result.ranking] == ["full"]
    assert [(one.method, one.reason) for one in result.left_out] == [("bitfit", "It has no biases.")]
    assert (result.outcomes.diverged, result.outcomes.out_of_memory) == (2, 1)


def test_without_its_baseline_it_says_to_what_differences_are() -> None:
    result = protocol.analyse(knobs(baseline="gone"), [run("full", 1.0), run("lora", 2.0)], Series(), {})
    assert result.notes[0] == "The baseline 'gone' has no value: differences are to full fine-tuning."
    assert {one.method: one.difference for one in result.ranking} == {"full": None, "lora": pytest.approx(1.0)}
