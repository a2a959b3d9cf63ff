"""`hone protocol`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.world import World
from tests.hone.conftest import Hone
from tests.runs import scene as runs
from webapp.sweeps import registry
from webapp.sweeps.models import Sweep

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(runs.SPEC))
    return path


def test_every_protocol_is_listed_with_its_question(hone: Hone, live_world: World) -> None:
    header, *rows = hone("protocol", "list", role="viewer").lines
    assert [row.split()[0] for row in rows] == list(registry.entries("protocols"))
    assert header.startswith("name")


def test_a_study_is_planned_then_started(hone: Hone, live_world: World, spec: Path) -> None:
    words = ("protocol", "start", "eval_variance", spec, "seeds=3", "--project", "alpha")
    planned = hone(*words, "--plan", role="viewer")
    assert planned.status == 0, planned.err
    assert not Sweep.objects.exists()
    plan = hone(*words, "--plan", "--json").json
    assert planned.lines[-1] == f"{plan['trials']} trials in {plan['runs']} runs."
    started = hone(*words, "--name", "how noisy", "--json").json
    assert [one["id"] for one in started["sweeps"]] == list(Sweep.objects.order_by("pk").values_list("pk", flat=True))
    assert len(started["sweeps"]) == len(plan["sweeps"])


def test_what_is_wrong_is_said_in_a_sentence(hone: Hone, live_world: World, spec: Path) -> None:
    assert "--project" in hone("protocol", "start", "eval_variance", spec).err
    assert "no protocol 'nonsense'" in hone("protocol", "start", "nonsense", spec, "--project", "alpha").err
    assert "seeds" in hone("protocol", "start", "eval_variance", spec, "seeds=-1", "--project", "alpha").err
    assert not Sweep.objects.exists()


def test_the_plan_of_a_comparison_says_what_every_method_gets(hone: Hone, live_world: World, spec: Path) -> None:
    words = ("protocol", "start", "method_comparison", spec, 'methods=["lora","full"]', "held=flops")
    told = hone(*words, "--plan", role="viewer")
    assert told.status == 0, told.err
    assert "FLOPs each: 100 steps of full to " in told.lines[-2]
    assert told.lines[-1] == "2 trials in 6 runs."
