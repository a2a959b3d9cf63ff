"""What a spec may say, and what it is told when it says something else."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gpu_jobs import registry, spec
from gpu_jobs.sources import DataSource, ModelSource
from tests.gpu_jobs.training import TINY

EXAMPLE = {
    "kind": "finetune",
    "model": {"source": "run", "run": 1},
    "data": {"source": "builtin", "name": "stdlib-source"},
    "method": {"name": "lora", "rank": 8, "alpha": 16, "targets": "attention"},
    "optimizer": {"name": "adamw", "lr": 1e-3},
    "schedule": {"name": "cosine", "warmup_steps": 10},
    "steps": 200,
    "batch_size": 16,
    "sequence_length": 128,
    "eval_every": 50,
    "checkpoint_every": 100,
    "seed": 0,
    "precision": "auto",
}


def complaints(changes: dict[str, Any]) -> dict[str, str]:
    """The field and the sentence of each error."""
    with pytest.raises(ValidationError) as caught:
        spec.parse({**TINY, **changes})
    return {".".join(map(str, error["loc"])): error["msg"] for error in caught.value.errors()}


def test_the_published_example_is_read_as_it_stands() -> None:
    parsed = spec.parse(EXAMPLE)
    said = parsed.model_dump(exclude_unset=True)
    assert said == EXAMPLE


def test_a_spec_survives_the_way_through_json() -> None:
    parsed = spec.parse(EXAMPLE)
    assert spec.parse(parsed.model_dump(mode="json")) == parsed


def test_references_are_the_runs_and_uploads_that_must_be_fetched() -> None:
    assert spec.references(spec.parse(EXAMPLE)) == ["run:1"]
    upload = {**EXAMPLE, "data": {"source": "upload", "upload": 3}}
    assert spec.references(spec.parse(upload)) == ["run:1", "upload:3"]
    assert spec.references(spec.parse(TINY)) == []


def test_references_are_found_in_lists_and_in_models_inside_and_named_once() -> None:
    class Part(BaseModel):
        model: ModelSource
        data: DataSource | None = None

    class Nested(spec.JobSpec):
        base: ModelSource
        parts: list[Part]
        more: list[DataSource]

    run = {"source": "run", "run": 1}
    parts = [{"model": {"source": "run", "run": 2}, "data": {"source": "upload", "upload": 3}}, {"model": run}]
    builtin, upload = {"source": "builtin"}, {"source": "upload", "upload": 4}
    nested = Nested.model_validate({"kind": "nested", "base": run, "parts": parts, "more": [builtin, upload]})
    assert spec.references(nested) == ["run:1", "run:2", "upload:3", "upload:4"]


def test_an_unknown_field_is_refused() -> None:
    assert "pretrain.stepz" in complaints({"stepz": 3})


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match="'finetune', 'merge'"):
        spec.parse({**TINY, "kind": "bake"})


def test_a_batch_that_does_not_divide_is_named_with_the_rule() -> None:
    found = complaints({"batch_size": 6, "accumulation": 2, "gpus": 2})
    assert "multiple of accumulation x gpus: 6 is not a multiple of 2 x 2 = 4" in found["pretrain.batch_size"]


def test_the_default_batch_is_held_to_the_rule_too() -> None:
    silent = {name: value for name, value in TINY.items() if name != "batch_size"}
    with pytest.raises(ValidationError, match="16 is not a multiple of 3"):
        spec.parse({**silent, "accumulation": 3})


def test_a_sequence_longer_than_the_context_is_refused() -> None:
    assert "64 > 32" in complaints({"sequence_length": 64})["pretrain.sequence_length"]


def test_a_model_that_can_not_do_the_task_is_refused() -> None:
    found = complaints({"model": {"source": "builtin", "name": "nano-vit"}})
    assert "'vit' can't do task 'causal_lm'" in found["pretrain.task"]
    found = complaints({"data": {"source": "builtin", "name": "digits"}})
    assert "can't do task 'image_classification'" in found["pretrain.task"]


def test_questions_and_answers_are_for_models_that_write() -> None:
    found = complaints({"data": {"source": "builtin", "name": "topic-questions"}, "task": "sequence_classification"})
    assert "data 'topic-questions' has none" in found["pretrain.task"]
    bert = {"model": {"source": "builtin", "name": "nano-bert"}}
    found = complaints({**bert, "data": {"source": "builtin", "name": "topic-questions"}})
    assert "task 'masked_lm' needs plain text" in found["pretrain.task"]


def test_packing_that_does_not_fit_the_task_is_refused_with_what_does() -> None:
    bert = {"model": {"source": "builtin", "name": "nano-bert"}, "packing": "isolated"}
    assert (
        "packing 'isolated' is not for task 'masked_lm': choose auto or joined or none"
        in (complaints(bert)["pretrain.packing"])
    )
    labelled = {"data": {"source": "builtin", "name": "stdlib-packages"}, "packing": "none"}
    assert "task 'sequence_classification': choose auto" in complaints(labelled)["pretrain.packing"]


def test_pretraining_offers_no_adapter() -> None:
    assert complaints({"method": {"name": "lora"}})


def test_a_knob_out_of_bounds_is_named_with_its_method() -> None:
    assert "pretrain.optimizer.adamw.lr" in complaints({"optimizer": {"name": "adamw", "lr": -1}})


@pytest.mark.parametrize("name", ["muon", "normuon", "cosmos", "adafactor"])
def test_a_rule_for_whole_matrices_is_not_shared_out(name: str) -> None:
    shared = {"gpus": 2, "parallel": "fsdp", "optimizer": {"name": name}}
    assert f"must be ddp with optimizer '{name}'" in complaints(shared)["pretrain.parallel"]
    for other in ({"gpus": 1}, {"parallel": "ddp"}, {"optimizer": {"name": "diffgrad"}}):
        assert spec.parse({**TINY, "batch_size": 4, **shared, **other})


@pytest.mark.parametrize(
    ("changes", "task"),
    [
        ({}, "causal_lm"),
        ({"data": {"source": "builtin", "name": "digits"}, "model": {"source": "builtin", "name": "nano-vit"}},
         "image_classification"),
        ({"data": {"source": "upload", "upload": 1, "label_column": "label"}}, "sequence_classification"),
        ({"data": {"source": "upload", "upload": 1}, "model": {"source": "builtin", "name": "nano-bert"}},
         "sequence_classification"),
        ({"model": {"source": "builtin", "name": "nano-bert"}}, "masked_lm"),
        ({"data": {"source": "builtin", "name": "stdlib-packages"}}, "sequence_classification"),
        ({"data": {"source": "builtin", "name": "topic-questions"}}, "causal_lm"),
    ],
)  # fmt: skip
def test_task_auto_goes_by_the_model_and_the_data(changes: dict[str, Any], task: str) -> None:
    assert spec.parse({**TINY, **changes}).resolved_task == task  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", registry.kinds())
def test_every_field_of_the_schema_tells_a_form_its_group_and_its_help(kind: str) -> None:
    schema = spec.schema(kind)
    assert schema["title"] == kind.replace("_", " ").capitalize()
    fields = {name: field for name, field in schema["properties"].items() if name != "kind"}
    assert all(field.get("description") and field.get("group") for field in fields.values())
    numbers = [field for field in fields.values() if field.get("type") in ("integer", "number")]
    assert numbers
    assert all("default" in field for field in numbers)
    assert all({"minimum", "exclusiveMinimum"} & field.keys() for field in numbers)
    assert all({"maximum", "exclusiveMaximum"} & field.keys() for field in numbers)


@pytest.mark.parametrize("kind", ["pretrain", "finetune"])
def test_methods_stand_in_the_schema_under_their_titles(kind: str) -> None:
    schema = spec.schema(kind)
    field = schema["properties"]["schedule"]
    titles = {
        name: schema["$defs"][reference.rpartition("/")[2]]["title"]
        for name, reference in field["discriminator"]["mapping"].items()
    }
    assert titles == {name: method.title for name, method in registry.methods("schedules").items()}
