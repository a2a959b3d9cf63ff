"""What fits into a device is what the plan of each method says."""

from __future__ import annotations

from typing import Any

import pytest

from gpu_jobs import cost, registry
from gpu_jobs.fitting import FAMILIES, fitting
from gpu_jobs.spec import Training, parse

SMALL = {"source": "builtin", "name": "small"}


def spec(**changes: Any) -> Training:
    parsed = parse({"kind": "finetune", "model": SMALL, "data": {"source": "builtin"}, **changes})
    assert isinstance(parsed, Training)
    return parsed


@pytest.fixture(scope="module")
def full() -> int:
    total = cost.plan(spec(), bf16=False).memory["total"]
    assert total is not None
    return total


def found(device_bytes: int, **changes: Any) -> dict[str, Any]:
    asked = spec(**changes)
    return {fit.name: fit for fit in fitting(asked, cost.config_of(asked, {}), device_bytes, bf16=False)}


def test_every_method_of_both_families_is_there(full: int) -> None:
    assert found(full).keys() == {name for family in FAMILIES for name in registry.methods(family)}


def test_the_edge_is_the_planned_memory(full: int) -> None:
    assert found(full)["full"].fits is True
    assert found(full - 1)["full"].fits is False
    assert found(full - 1)["full"].memory_bytes == full
    assert found(full - 1)["lora"].fits is True


def test_those_that_fit_come_first_by_what_they_train(full: int) -> None:
    asked = spec()
    order = fitting(asked, cost.config_of(asked, {}), full, bf16=False)
    places = [fit.fits for fit in order]
    assert places == sorted(places, key=lambda fits: not fits)
    trained = [fit.trainable for fit in order if fit.fits]
    assert trained == sorted(trained)  # type: ignore[type-var]


def test_what_can_t_be_put_on_the_model_says_why(full: int) -> None:
    bitfit = found(full)["bitfit"]
    assert (bitfit.fits, bitfit.memory_bytes) == (None, None)
    assert "bias" in bitfit.reason


def test_a_model_that_only_the_worker_can_see_fits_nowhere_yet() -> None:
    asked = spec(model={"source": "hub", "id": "someone/model"})
    assert {fit.fits for fit in fitting(asked, None, 2**40, bf16=False)} == {None}


def test_pretraining_is_offered_strategies_alone() -> None:
    asked = parse({"kind": "pretrain", "model": SMALL, "data": {"source": "builtin"}})
    assert isinstance(asked, Training)
    assert {fit.family for fit in fitting(asked, cost.config_of(asked, {}), 2**40, bf16=False)} == {"strategies"}
