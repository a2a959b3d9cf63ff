from __future__ import annotations

import math
from typing import Any

import pytest

from tests.sweeps import scene
from webapp.accounts.errors import Invalid
from webapp.sweeps.definition import Definition
from webapp.sweeps.exchange import wandb_yaml

WHOLE = """
program: train.py
method: bayes
name: sweepdemo
metric: {name: eval/loss, goal: minimize}
run_cap: 30
early_terminate: {type: hyperband, min_iter: 3, eta: 2}
parameters:
  batch_size: {values: [8, 16, 32]}
  steps: {value: 500}
  optimizer:
    parameters:
      name: {value: adamw}
      lr: {distribution: log_uniform_values, min: 1e-4, max: 0.1}
      weight_decay: {min: 0.0, max: 0.5}
  method.rank: {min: 2, max: 32}
"""


def space_of(text: str) -> dict[str, Any]:
    found: dict[str, Any] = wandb_yaml.read(f"method: random\nparameters: {{x: {text}}}\n")["search"]["space"]["x"]
    return found


def test_a_whole_file_becomes_a_sweep() -> None:
    body = wandb_yaml.read(WHOLE)
    notes = body.pop("notes")
    assert body == {
        "name": "sweepdemo",
        "spec": {"steps": 500, "optimizer": {"name": "adamw"}},
        "search": {
            "sampler": {"name": "gp"},
            "space": {
                "batch_size": {"choices": [8, 16, 32]},
                "optimizer.lr": {"low": 1e-4, "high": 0.1, "log": True},
                "optimizer.weight_decay": {"low": 0.0, "high": 0.5},
                "method.rank": {"low": 2, "high": 32, "step": 1},
            },
        },
        "objective": [{"metric": "eval/loss", "goal": "minimize"}],
        "stopper": {"name": "asha", "min_steps": 3, "reduction": 2},
        "trials": 30,
    }
    assert any(note.startswith("program") for note in notes) and any("optimizer steps" in note for note in notes)
    Definition.model_validate({key: value for key, value in body.items() if key != "name"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{distribution: uniform, min: -1, max: 1}", {"low": -1, "high": 1}),
        ("{distribution: int_uniform, min: 1, max: 9}", {"low": 1, "high": 9, "step": 1}),
        ("{distribution: q_uniform, min: 0, max: 1, q: 0.25}", {"low": 0, "high": 1, "step": 0.25}),
        ("{distribution: categorical, values: [a, true, 3]}", {"choices": ["a", True, 3]}),
        ("{values: [1e-4, 1e-3]}", {"choices": [1e-4, 1e-3]}),
    ],
)
def test_distributions_have_their_counterparts(text: str, expected: dict[str, Any]) -> None:
    assert space_of(text) == expected


def test_log_uniform_bounds_are_natural_logarithms() -> None:
    found = space_of("{distribution: log_uniform, min: -9.21, max: -2.3}")
    assert (
        found["log"]
        and found["low"] == pytest.approx(math.exp(-9.21))
        and found["high"] == pytest.approx(math.exp(-2.3))
    )


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("{distribution: normal, mu: 1, sigma: 2}", -3, 5),
        ("{distribution: log_normal, mu: 0, sigma: 1}", math.exp(-2), math.exp(2)),
        ("{distribution: q_log_uniform_values, min: 1, max: 64, q: 2}", 1, 64),
        ("{distribution: inv_log_uniform_values, min: 1, max: 64}", 1, 64),
        ("{distribution: beta, a: 2, b: 5}", 0, 1),
    ],
)
def test_what_has_no_counterpart_is_taken_as_the_nearest_and_said(text: str, low: float, high: float) -> None:
    body = wandb_yaml.read(f"method: random\nrun_cap: 3\nmetric: {{name: a}}\nparameters: {{x: {text}}}")
    one = body["search"]["space"]["x"]
    assert (one["low"], one["high"]) == (pytest.approx(low), pytest.approx(high))
    assert len(body["notes"]) == 1 and body["notes"][0].startswith("x: ")


def test_probabilities_targets_and_missing_caps_are_told() -> None:
    body = wandb_yaml.read(
        "method: random\nmetric: {name: a, target: 3}\nparameters: {x: {values: [1, 2], probabilities: [0.9, 0.1]}}"
    )
    assert [any(word in note for note in body["notes"]) for word in ("probabilities", "target", "run_cap")] == [
        True
    ] * 3


def test_a_grid_over_ranges_takes_points_of_them_and_says_so() -> None:
    body = wandb_yaml.read("method: grid\nrun_cap: 9\nmetric: {name: a}\nparameters: {x: {min: 0.0, max: 1.0}}")
    assert body["search"]["sampler"] == {"name": "grid", "points": 5} and "points" in body["notes"][0]


def test_hyperband_from_the_top_has_its_first_rung_at_max_iter_over_eta_to_the_s() -> None:
    body = wandb_yaml.read(
        "method: random\nearly_terminate: {type: hyperband, max_iter: 27, s: 2}\nparameters: {x: {values: [1, 2]}}"
    )
    assert body["stopper"] == {"name": "asha", "min_steps": 3, "reduction": 3}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("method: [", "file"),
        ("just text", "file"),
        ("a: &a [1]\nb: *a", "file"),
        ("x: !!python/object/apply:os.system ['true']", "file"),
        ("method: random", "parameters"),
        ("method: random\nparameters: {x: {value: 1}}", "parameters"),
        ("method: magic\nparameters: {x: {values: [1]}}", "method"),
        ("method: random\nparameters: {x: {values: []}}", "parameters.x"),
        ("method: random\nparameters: {x: {values: [[1]]}}", "parameters.x"),
        ("method: random\nparameters: {x: {values: [.nan]}}", "parameters.x"),
        ("method: random\nparameters: {x: {min: 1}}", "parameters.x"),
        ("method: random\nparameters: {x: {min: a, max: b}}", "parameters.x"),
        ("method: random\nparameters: {x: {distribution: odd}}", "parameters.x"),
        ("method: random\nparameters: {x: 3}", "parameters.x"),
        ("method: random\nmetric: {goal: up}\nparameters: {x: {values: [1]}}", "metric"),
        ("method: random\nrun_cap: many\nparameters: {x: {values: [1]}}", "run_cap"),
        ("method: random\nearly_terminate: {type: x}\nparameters: {x: {values: [1]}}", "early_terminate"),
        ("x" * 200_001, "file"),
        ("[" * 5000, "file"),
    ],
)
def test_a_bad_file_is_refused_where_it_is_wrong(text: str, place: str) -> None:
    with pytest.raises(Invalid) as caught:
        wandb_yaml.read(text)
    assert [error["loc"] for error in caught.value.errors] in ([[place]], [[place.split(".")[0], "x"]])


@pytest.mark.django_db
def test_what_is_read_can_be_made_into_a_sweep() -> None:
    body = wandb_yaml.read(
        "method: random\nrun_cap: 3\nmetric: {name: eval/loss}\nparameters:\n  batch_size: {values: [4, 8]}\n"
        "  optimizer.lr: {distribution: log_uniform_values, min: 1e-4, max: 1e-2}\n  steps: {value: 50}\n"
    )
    notes = body.pop("notes")
    base = scene.definition()["spec"]
    sweep = scene.create(**{**body, "spec": {**base, **body["spec"]}})
    assert notes == [] and sweep.definition["spec"]["steps"] == 50
    assert len(scene.waiting(scene.advanced(sweep))) == 2
