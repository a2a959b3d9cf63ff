"""Curves of many runs: a line each, or a mean with its band for each group."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from tests.metrics.runs import make_run
from webapp.accounts.actions import create_user
from webapp.charts import curves
from webapp.charts.curves import View
from webapp.metrics import store
from webapp.metrics.bands import pooled, thinned
from webapp.metrics.errors import Invalid
from webapp.metrics.points import Points
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db


def seeds(method: str, count: int, lr: float = 0.1) -> list[Run]:
    """Run number s has the loss s + step at steps 0 to 9, and twice as many tokens as steps."""
    runs = []
    for seed in range(count):
        run = make_run()
        spec = {"method": {"name": method}, "optimizer": {"lr": lr}, "seed": seed}
        Run.objects.filter(pk=run.pk).update(spec=spec, name=f"{method} {seed}")
        steps = np.arange(10)
        store.append(run.pk, {"loss": Points.of(steps, steps + float(seed), 1e9 + steps)})
        store.append(run.pk, {"train/tokens": Points.of(steps, 2.0 * steps, 1e9 + steps)})
        runs.append(Run.objects.get(pk=run.pk))
    return runs


def test_every_run_has_a_line_called_by_any_key_of_its_spec() -> None:
    runs = [*seeds("lora", 2), make_run()]
    data = curves.data(runs, "loss", View(x="tokens"), label=["method.name", "spec.optimizer.lr", "nothing"])
    assert [line.label for line in data.lines] == ["lora · 0.1 · no nothing"] * 2
    assert data.lines[1].x.tolist() == (2 * np.arange(10)).tolist()
    assert data.lines[1].y.tolist() == (1.0 + np.arange(10)).tolist()
    assert data.without == 1
    packed = curves.packed(data)
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(packed["lines"][1]["y"])), data.lines[1].y)


def test_groups_are_runs_alike_but_for_the_seed_or_by_a_key() -> None:
    runs = [*seeds("lora", 3), *seeds("dora", 2), *seeds("dora", 1, lr=0.2)]
    alike = curves.groups_of(runs, [])
    assert [(name, len(members)) for name, members in alike.items()] == [
        ("lora 0", 3),
        ("dora 0", 2),
        (f"dora 0 #{runs[-1].pk}", 1),
    ]
    by_method = curves.groups_of(runs, ["method.name"])
    assert {name: len(members) for name, members in by_method.items()} == {"lora": 3, "dora": 3}


def test_groups_by_tag_have_a_run_in_the_group_of_each_of_its_tags_and_by_user_in_one() -> None:
    runs = seeds("lora", 3)
    person = create_user("ada")
    runs[0].tags, runs[1].tags = ["night", "kept"], ["night"]
    runs[0].created_by = runs[1].created_by = person
    by_tag = curves.groups_of(runs, ["tag"])
    assert by_tag == {"night": runs[:2], "kept": runs[:1], "no tag": runs[2:]}
    by_both = curves.groups_of(runs, ["method.name", "tag"])
    assert list(by_both) == ["lora · night", "lora · kept", "lora · no tag"]
    assert curves.groups_of(runs, ["user"]) == {"ada": runs[:2], "no user": runs[2:]}
    lines = {
        line.label: line.y.tolist() for line in curves.grouped(runs, "loss", View(), band="std", group=["tag"]).lines
    }
    assert lines["night"] == (np.arange(10) + 0.5).tolist() and lines["kept"] == np.arange(10.0).tolist()


@pytest.mark.parametrize("x", ["step", "tokens", "time"])
def test_a_band_is_mean_and_spread_of_its_members(x: str) -> None:
    (line,) = curves.grouped(seeds("lora", 3), "loss", View(x=x), band="std").lines
    assert line.y.tolist() == (np.arange(10) + 1.0).tolist()
    assert line.lower is not None
    np.testing.assert_allclose(line.y - line.lower, np.std([0, 1, 2], ddof=1))
    assert len(line.runs) == 3


def test_runs_without_common_places_meet_on_straight_lines() -> None:
    """One has even, the other odd places; both are y = x, so the mean is y = x between 1 and 98."""
    even, odd = np.arange(0, 100, 2.0), np.arange(1, 100, 2.0)
    band = pooled([(even, even), (odd, odd)], "minmax")
    assert (band.steps[0], band.steps[-1]) == (1, 98)
    np.testing.assert_allclose(band.mean, band.steps)
    np.testing.assert_allclose(band.upper - band.lower, 0, atol=1e-9)


def test_a_thinned_band_keeps_its_spikes() -> None:
    x, flat = np.arange(100_000), np.zeros(100_000)
    spiked = flat.copy()
    spiked[54_321] = 7.0
    band = thinned(pooled([(x, flat), (x, spiked)], "minmax"), 300)
    assert (band.upper.max(), len(band.steps) <= 300) == (7.0, True)


def test_a_band_needs_an_x_that_only_grows() -> None:
    runs = seeds("lora", 2)
    with pytest.raises(Invalid, match="metric:train/tokens"):
        curves.grouped(runs, "loss", View(x="metric:train/tokens"), band="std")
    assert len(curves.data(runs, "loss", View(x="metric:train/tokens")).lines) == 2


@pytest.mark.parametrize("x", ["step", "tokens"])
def test_what_is_new_begins_where_the_line_ended(x: str) -> None:
    first, second = seeds("lora", 2)
    store.append(first.pk, {"loss": Points.of([10, 11], [5.0, 6.0], [2e9, 2e9])})
    factor = 1 if x == "step" else 2
    data = curves.newer([first, second], "loss", View(x=x), {first.pk: 9 * factor, second.pk: 9 * factor})
    lines = {line.runs[0]: line for line in data.lines}
    assert lines[first.pk].y.tolist() == [9.0, 5.0, 6.0] and lines[first.pk].count == 3
    assert second.pk not in lines or lines[second.pk].y.tolist() == [10.0]  # over steps it is known to have none
    whole = curves.newer([second], "loss", View(x=x), {second.pk: -1e300}).lines[0]
    assert whole.y.tolist() == (1.0 + np.arange(10)).tolist()


def test_a_run_that_went_back_has_no_point_where_its_line_ended() -> None:
    run = seeds("lora", 1)[0]
    store.rewind(run.pk, 4)
    assert [line.count for line in curves.newer([run], "loss", View(), {run.pk: 9}).lines] == [0]
