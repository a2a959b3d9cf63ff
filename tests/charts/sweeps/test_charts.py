"""What every chart of a sweep keeps to: tests over all files of the folder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.charts.figures import validated
from tests.charts.sweeps.scene import SPACE, definition, fill, make_sweep
from webapp.accounts.errors import Invalid
from webapp.charts.sweeps import charts, charts_of, figure_of, options_of

NAMES = sorted(charts())


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_says_what_it_answers(name: str) -> None:
    chart = charts()[name]
    assert chart.title
    assert chart.question.endswith("?")
    assert len(chart.question) <= 70


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_an_empty_sweep_gives_a_sentence_whatever_is_chosen(name: str) -> None:
    sweep = make_sweep(objective=[{"metric": "eval/loss"}, {"metric": "eval/accuracy", "goal": "maximize"}])
    for chosen in _each(sweep, name):
        figure = validated(figure_of(name, sweep, chosen))
        assert figure.layout.annotations[0].text.endswith(".")


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_every_choice_of_every_option_is_a_valid_figure(name: str) -> None:
    sweep = make_sweep(stopper="predicted", seeds=2, budget={"gpu_hours": 3})
    fill(sweep)
    for chosen in _each(sweep, name):
        assert validated(figure_of(name, sweep, chosen)).data


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_no_name_that_people_choose_is_markup(name: str) -> None:
    space = {**SPACE, "method.name": {"choices": ["full", "<b>lora</b>"]}, "<b>knob</b>": {"low": 0, "high": 1}}
    del space["method.rank"]
    sweep = make_sweep(objective={"metric": "<b>loss</b>"}, search={"space": space}, stopper="predicted", seeds=2)
    fill(sweep, worker="<b>gpu</b>")
    for chosen in _each(sweep, name):
        figure = figure_of(name, sweep, chosen)
        figure["layout"]["meta"] = {}  # shown as text
        figure["data"] = [{**trace, "meta": {}} for trace in figure["data"]]
        assert "<b>" not in json.dumps(figure)


@pytest.mark.django_db
def test_a_chart_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        figure_of("pie", make_sweep(), {})


@pytest.mark.django_db
def test_an_unknown_option_or_value_is_named_with_those_there_are() -> None:
    sweep = make_sweep()
    with pytest.raises(Invalid) as caught:
        figure_of("best_so_far", sweep, {"x": "money", "y": "1"})
    assert caught.value.errors == [
        {"loc": ["x"], "msg": "x must be one of trial, gpu_hours, flops, hours, not 'money'."},
        {"loc": ["y"], "msg": "The chart best_so_far has no option 'y'; it has: x."},
    ]


def test_charts_that_a_definition_can_not_have_are_left_out() -> None:
    single = definition(search={"space": {"optimizer.lr": {"low": 0.1, "high": 1}}})
    assert "parallel" not in [chart.name for chart in charts_of(single)]
    assert "parallel" in [chart.name for chart in charts_of(definition())]


def _each(sweep: Any, name: str) -> list[dict[str, str]]:
    """Every choice of every option, one at a time."""
    return [{}, *({one.name: choice.value} for one in options_of(name, sweep) for choice in one.choices)]
