from __future__ import annotations

from typing import Any

import pytest

from gpu_jobs import registry
from gpu_jobs import spec as specs
from tests.sweeps.search.scene import SPEC
from webapp.runs.merging import merged
from webapp.sweeps.definition import Search
from webapp.sweeps.search import space
from webapp.sweeps.search.asking import ask
from webapp.sweeps.search.suggestions import choices_of_methods, suggested
from webapp.sweeps.specs import nested


def test_the_knobs_of_the_specs_own_methods_are_suggested() -> None:
    found = suggested({**SPEC, "method": {"name": "lora", "rank": 4}})
    assert found["method.rank"] == {"low": 1, "high": 16, "log": True}
    assert {path for path in found if path.startswith("method.")} <= {
        f"method.{knob}" for knob in registry.methods("adapters")["lora"].knobs.model_fields
    }
    assert not {path for path in suggested({**SPEC, "method": {"name": "full"}}) if path.startswith("method.")}


def test_a_choice_of_methods_begins_with_the_specs_own() -> None:
    found = choices_of_methods({**SPEC, "kind": "finetune", "method": {"name": "lora"}})
    assert found["method.name"]["choices"][0] == "lora"
    assert set(found["method.name"]["choices"]) == {*registry.methods("strategies"), *registry.methods("adapters")}
    assert found["optimizer.name"]["choices"][0] == "adamw"


def test_ranges_lie_around_the_specs_own_value_and_within_the_bounds() -> None:
    found = suggested({**SPEC, "optimizer": {"name": "adamw", "lr": 0.2}, "batch_size": 2})
    assert found["optimizer.lr"] == {"low": 0.02, "high": 2, "log": True}
    assert suggested({**SPEC, "optimizer": {"name": "adamw", "lr": 5}})["optimizer.lr"]["high"] == 10
    assert found["batch_size"] == {"low": 1, "high": 8, "log": True}


def test_what_is_no_hyperparameter_is_left_out() -> None:
    assert not {"seed", "steps", "accumulation", "gpus", "eval_every"} & set(suggested(SPEC))
    assert "optimizer.beta2" not in suggested(SPEC) and "optimizer.beta2" in suggested(SPEC, advanced=True)
    assert suggested({"kind": "unheard of"}) == {}


METHODS = [("finetune", name) for family in ("strategies", "adapters") for name in registry.methods(family)]


@pytest.mark.parametrize(("kind", "name"), [("pretrain", "full"), *METHODS])
@pytest.mark.parametrize("advanced", [False, True])
def test_every_suggestion_is_a_sound_space_whose_points_are_sound_specs(kind: str, name: str, advanced: bool) -> None:
    spec: dict[str, Any] = {**SPEC, "kind": kind, "method": {"name": name}}
    found = suggested(spec, advanced)
    asked = Search.model_validate({"sampler": "random", "space": found})
    assert space.check(asked, spec) == []
    base = specs.parse(spec).model_dump(mode="json")
    for point in ask(asked, [], [], 20, spec=spec):
        specs.parse(merged(base, nested(point.params)))


def test_a_kind_that_trains_nothing_has_nothing_to_search() -> None:
    assert suggested({**SPEC, "kind": "evaluate"}) == {}
