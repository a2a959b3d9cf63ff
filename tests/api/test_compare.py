"""GET /api/v1/compare: the page's numbers, of the runs that one may see and of no other."""

from __future__ import annotations

import math
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from scipy import stats

from tests.api.world import World
from tests.runs import scene as runs
from tests.sweeps import scene as sweeps
from tests.sweeps.comparison import scene
from tests.sweeps.comparison.scene import Study
from webapp.sweeps.comparison import choosing
from webapp.sweeps.comparison.address import BudgetName
from webapp.sweeps.comparison.measured import BUDGETS


@pytest.fixture
def study(world: World) -> Study:
    return scene.study(world.run.project, world.owner)


def told(client: Client, query: str, status: int = 200) -> Any:
    answer = client.get(f"/api/v1/compare?{query}")
    assert answer.status_code == status, answer.content
    return answer.json()


def by_label(reply: Any) -> dict[str, Any]:
    return {line["label"]: line for line in reply["comparison"]["lines"]}


def test_groups_stand_against_full_fine_tuning(world: World, study: Study) -> None:
    reply = told(world.client("viewer"), f"runs={study.numbers}")
    lines = by_label(reply)
    assert list(lines) == ["full", "lora rank 2", "lora rank 4"]
    assert (reply["found"], reply["compared"], reply["missing"]) == (10, 10, [])
    reference = stats.ttest_rel([1.68, 1.72, 1.70], [1.49, 1.50, 1.51])
    small = lines["lora rank 2"]["against"]
    assert (small["test"], small["pairs"]) == ("paired", 3)
    assert small["difference"] == pytest.approx(0.2)
    assert small["low"] == pytest.approx(reference.confidence_interval().low)
    assert [line["verdict"] for line in lines.values()] == ["baseline", "worse", "below noise"]
    assert lines["lora rank 4"]["outcomes"] == {"out_of_memory": 1, "succeeded": 3}
    assert lines["lora rank 2"]["ratios"]["trainable"] == pytest.approx(1 / 200)
    assert lines["full"]["measures"]["energy_kwh"] is None


def test_everything_can_be_asked_in_the_address(world: World, study: Study) -> None:
    query = f"runs={study.numbers}&metric=eval/loss&goal=maximize&baseline={study.small[1].pk}&test=welch"
    found = told(world.client("viewer"), f"{query}&budget=wall_time_s&tolerance=60")["comparison"]
    assert (found["baseline"], found["why_baseline"]) == (study.small[0].pk, "chosen")
    assert found["question"] | {"own_baselines": []} == {
        "metric": "eval/loss", "goal": "maximize", "baseline": study.small[1].pk, "own_baselines": [], "group": [],
        "budget": "wall_time_s", "tolerance": 0.6, "test": "welch", "confidence": 0.95,
    }  # fmt: skip
    assert found["budget"]["sentence"] == "Time not equal: 1.0x to 2.0x the baseline's."
    assert found["budget"]["outside"] == [study.full[0].pk]
    grouped = by_label(told(world.client("viewer"), f"runs={study.numbers}&group=method.name"))
    assert {label: len(line["runs"]) for label, line in grouped.items()} == {"full": 3, "lora": 7}


def test_a_query_finds_what_the_table_of_runs_finds(world: World, study: Study) -> None:
    client = world.client("viewer")
    slug = world.run.project.slug
    by_method = told(client, f"project={slug}&q=lora")["comparison"]["outcomes"]
    assert by_method == {"succeeded": 6, "out_of_memory": 1}
    assert told(client, f"project={slug}&kind=finetune&status=succeeded")["compared"] == 9
    listed = client.get(f"/api/v1/runs?project={slug}&q=lora").json()["items"]
    assert sorted(run["id"] for run in listed) == sorted(run.pk for run in (*study.small, *study.large))


def test_the_base_is_a_line_where_it_was_judged_on_the_same_samples(world: World, study: Study) -> None:
    full, base = told(world.client("viewer"), f"runs={study.numbers}")["comparison"]["levels"]
    assert (full["label"], full["value"]) == ("full fine-tuning", pytest.approx(1.5))
    assert (base["label"], base["value"]) == ("base", 2.5)


def test_a_sweep_is_compared_by_its_number(world: World) -> None:
    sweep = sweeps.create(project=world.run.project, user=world.owner, trials=2)
    sweeps.finish(sweep, lambda run: 2.0)
    reply = told(world.client("viewer"), f"sweep={sweep.pk}")
    assert reply["compared"] == 2
    assert {line["quality"]["mean"] for line in reply["comparison"]["lines"]} == {2.0}


def test_runs_of_other_projects_are_neither_shown_nor_counted(world: World, study: Study) -> None:
    mine = runs.submit(runs.project("Gamma", world.stranger), user=world.stranger)
    reply = told(world.client("stranger"), f"runs={study.numbers},{mine.pk}")
    assert (reply["found"], reply["compared"]) == (1, 1)
    assert [line["runs"] for line in reply["comparison"]["lines"]] == [[mine.pk]]
    assert reply["missing"] == sorted(int(number) for number in study.numbers.split(","))
    absent = told(world.client("stranger"), "runs=987654")["comparison"]["cautions"]
    hidden = told(world.client("stranger"), f"runs={study.full[0].pk}")["comparison"]["cautions"]
    assert absent[0].replace("987654", "N") == hidden[0].replace(str(study.full[0].pk), "N")
    assert told(world.client("stranger"), "q=lora")["compared"] == 0


def test_a_base_that_is_not_theirs_to_see_is_no_line(world: World, study: Study) -> None:
    """A run of one's own may name another's base no more once one has left that project: its value stays hidden."""
    hidden = runs.project("Hidden", world.stranger)
    type(study.base).objects.filter(pk=study.base.pk).update(project=hidden)
    base = told(world.client("viewer"), f"runs={study.numbers}")["comparison"]["levels"][1]
    assert base["value"] is None and "not yours to see" in base["how"]


def test_nothing_chosen_is_nothing_compared(world: World, study: Study) -> None:
    assert told(world.client("viewer"), "")["compared"] == 0
    assert told(world.client("viewer"), "metric=eval/loss")["compared"] == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("runs=1,two", "runs"), ("goal=best", "goal"), ("budget=luck", "budget"), ("tolerance=-1", "tolerance"),
        ("test=sign", "test"), ("baseline=0", "baseline"), ("status=lost,nowhere&project=alpha", "status"),
        (f"group={','.join('abcdefghijk')}", "group"), ("nonsense=1", "nonsense"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_by_name(world: World, query: str, field: str) -> None:
    assert told(world.client("viewer"), query, 422)["errors"][0]["loc"][-1] == field


def test_a_metric_that_nobody_has_is_said(world: World, study: Study) -> None:
    found = told(world.client("viewer"), f"runs={study.numbers}&metric=eval/f1")["comparison"]
    assert found["cautions"][0] == "No compared run has logged 'eval/f1'; they have eval/loss."
    assert all(line["quality"] is None for line in found["lines"])


def test_too_many_runs_are_cut_and_it_is_said(world: World, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "MOST", 4)
    monkeypatch.setattr("webapp.sweeps.comparison.answering.MOST", 4)
    reply = told(world.client("viewer"), f"runs={study.numbers}")
    assert (reply["found"], reply["compared"]) == (10, 4)
    assert reply["comparison"]["cautions"][0].startswith("10 runs are like this, and at most 4 are compared")


def test_power_that_was_measured_is_energy(world: World, study: Study) -> None:
    for run in study.full:
        scene.logged(run, "system/gpu0_power_watts", 100.0, 200.0)
    lines = by_label(told(world.client("viewer"), f"runs={study.numbers}"))
    assert lines["full"]["measures"]["energy_kwh"]["mean"] == pytest.approx(0.15 / 60)
    assert lines["lora rank 2"]["measures"]["energy_kwh"] is None


def test_a_value_that_is_not_finite_leaves_no_gap_in_the_reply(world: World, study: Study) -> None:
    scene.ended(scene.queued(world.run.project, world.owner, scene.FULL, 7), math.nan)
    reply = told(world.client("viewer"), f"project={world.run.project.slug}&kind=pretrain&status=succeeded")
    assert "Without a finite eval/loss" in " ".join(reply["comparison"]["cautions"])


def test_the_number_of_queries_does_not_grow_with_the_runs(world: World, study: Study) -> None:
    client = world.client("viewer")

    def queries(numbers: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            told(client, f"runs={numbers}")
        return len(seen)

    told(client, f"runs={study.numbers}")  # the first use of a token in a minute is noted
    few = queries(",".join(str(run.pk) for run in study.full[:2]))
    assert queries(study.numbers) == few


def test_every_budget_has_a_name_in_the_address() -> None:
    assert set(BudgetName.__args__) == set(BUDGETS)  # type: ignore[attr-defined]


def test_masks_are_held_against_each_other(world: World) -> None:
    one, other = world.masked
    reply = world.client("viewer").get(f"/api/v1/compare/masks?run={one.pk}&run={other.pk}").json()
    (pair,) = reply["pairs"]
    assert (pair["one"], pair["other"], pair["overlap"]) == (one.pk, other.pk, 0.25)
    assert pair["layers"] == [{"name": "layer", "weights": 10, "overlap": 0.25}]
    assert [kept["share"] for kept in reply["runs"]] == [0.5, 0.5]


def test_masks_that_can_not_be_compared_are_refused_by_name(world: World) -> None:
    one, client = world.masked[0].pk, world.client("viewer")
    for query in ("", f"run={one}", f"run={one}&run={one}", f"run={one}&run={world.run.pk}", "run=x"):
        answer = client.get(f"/api/v1/compare/masks?{query}")
        assert answer.status_code == 422, answer.content
        assert answer.json()["errors"][0]["loc"][-1] in ("run", 0)
    assert client.get("/api/v1/compare/masks?" + "&".join(f"run={n}" for n in range(1, 15))).status_code == 422
    assert client.get(f"/api/v1/compare/masks?run={one}&run=987654").status_code == 404
