"""What a source accepts, what it refuses and with which words, and that none of it needs torch."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gpu_jobs import sources
from gpu_jobs.sources import BUILTIN_MODELS, BuiltinModel, ConfigModel, PathData, RunModel, new_model

MODEL: TypeAdapter[Any] = TypeAdapter(sources.ModelSource)
DATA: TypeAdapter[Any] = TypeAdapter(sources.DataSource)

GOOD_MODELS = [
    {"source": "config", "architecture": "llama", "layers": 2, "width": 64, "heads": 4, "vocab": 300},
    {"source": "config", "architecture": "llama", "width": 64, "heads": 8, "kv_heads": 2, "ffn": 100},
    {"source": "config", "architecture": "gpt2"},
    {"source": "config", "architecture": "bert", "dropout": 0.1},
    {"source": "config", "architecture": "vit", "image_size": 8, "patch_size": 4},
    {"source": "builtin", "name": "nano"},
    {"source": "run", "run": 3},
    {"source": "path", "path": "/models/mine"},
    {"source": "hub", "id": "EleutherAI/pythia-70m", "revision": "main"},
    {"source": "hub", "id": "gpt2"},
]
GOOD_DATA = [
    {"source": "builtin", "name": "stdlib-source"},
    {"source": "path", "path": "/data", "format": "csv", "text_column": "body", "label_column": "class"},
    {"source": "path", "path": "/data/train.txt", "eval_path": "/data/eval.txt"},
    {"source": "upload", "upload": 7, "eval_fraction": 0.2},
    {"source": "path", "path": "/a", "prompt_column": "q", "answer_column": "a", "chat_template": "{{ messages }}"},
    {"source": "hub", "id": "some/chats", "messages_column": "turns", "chosen_column": "a", "rejected_column": "b"},
    {"source": "hub", "id": "roneneldan/TinyStories", "split": "train", "eval_split": "validation"},
]
BAD_MODELS = [
    ({"source": "config", "width": 100, "heads": 8}, "width must be a multiple of heads", "96 or 104 is"),
    ({"source": "config", "width": 12, "heads": 4}, "width / heads must be even", "12 / 4 = 3"),
    ({"source": "config", "heads": 4, "kv_heads": 3}, "kv_heads must divide heads", "3 does not divide 4"),
    ({"source": "config", "architecture": "gpt2", "kv_heads": 2}, "kv_heads is for llama only", "gpt2"),
    (
        {"source": "config", "architecture": "vit", "patch_size": 3},
        "image_size must be a multiple",
        "8 is not one of 3",
    ),
    ({"source": "config", "layers": 0}, "greater than or equal to 1", ""),
    ({"source": "config", "architecture": "lstm"}, "'llama', 'gpt2', 'bert' or 'vit'", ""),
    ({"source": "config", "depth": 3}, "Extra inputs are not permitted", ""),
    ({"source": "run", "run": 0}, "greater than or equal to 1", ""),
    ({"source": "path", "path": ""}, "at least 1 character", ""),
    ({"source": "hub", "id": "../secrets"}, "should match pattern", ""),
    ({"source": "hub", "id": "a/b/c"}, "should match pattern", ""),
    ({"source": "cloud"}, "does not match any of the expected tags", ""),
    ({}, "Unable to extract tag", ""),
]
BAD_DATA = [
    ({"source": "builtin", "name": "mnist"}, "'topic-questions', 'stdlib-packages' or 'digits'"),
    ({"source": "path", "path": "/data", "eval_fraction": 0}, "greater than 0"),
    ({"source": "path", "path": "/data", "eval_fraction": 0.6}, "less than or equal to 0.5"),
    ({"source": "path", "path": "/data", "format": "xlsx"}, "'auto', 'text', 'csv', 'jsonl' or 'parquet'"),
    ({"source": "upload"}, "Field required"),
    ({"source": "upload", "upload": 1, "chosen_column": "a"}, "chosen_column goes with rejected_column: name both"),
    ({"source": "upload", "upload": 1, "rejected_column": "a"}, "rejected_column goes with chosen_column: name both"),
    ({"source": "upload", "upload": 1, "messages_column": "a", "prompt_column": "b"}, "messages_column holds prompts"),
    ({"source": "builtin", "name": "digits", "text_column": "x"}, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize("given_", GOOD_MODELS, ids=str)
def test_a_model_source_comes_back_from_json_as_it_was(given_: dict[str, Any]) -> None:
    source = MODEL.validate_python(given_)
    assert MODEL.validate_json(MODEL.dump_json(source)) == source
    assert given_.items() <= source.model_dump().items()


@pytest.mark.parametrize("given_", GOOD_DATA, ids=str)
def test_a_data_source_comes_back_from_json_as_it_was(given_: dict[str, Any]) -> None:
    source = DATA.validate_python(given_)
    assert DATA.validate_json(DATA.dump_json(source)) == source
    assert given_.items() <= source.model_dump().items()


@pytest.mark.parametrize(("given_", "rule", "value"), BAD_MODELS, ids=str)
def test_a_wrong_model_is_refused_with_rule_and_value(given_: dict[str, Any], rule: str, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MODEL.validate_python(given_)
    message = caught.value.errors()[0]["msg"]
    assert rule in message and value in message


@pytest.mark.parametrize(("given_", "rule"), BAD_DATA, ids=str)
def test_wrong_data_are_refused_with_the_rule(given_: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DATA.validate_python(given_)
    assert rule in caught.value.errors()[0]["msg"]


def test_only_runs_and_uploads_are_inputs() -> None:
    references = [MODEL.validate_python(given_).reference() for given_ in GOOD_MODELS]
    assert [name for name in references if name] == ["run:3"]
    references = [DATA.validate_python(given_).reference() for given_ in GOOD_DATA]
    assert [name for name in references if name] == ["upload:7"]


@pytest.mark.parametrize(
    ("given_", "forms"),
    [
        ({"source": "builtin", "name": "stdlib-source"}, {"text"}),
        ({"source": "builtin", "name": "topic-questions"}, {"instruction", "preference", "prompts"}),
        ({"source": "path", "path": "a.jsonl"}, None),
        ({"source": "path", "path": "a.jsonl", "prompt_column": "q"}, None),
        ({"source": "path", "path": "a", "format": "text"}, {"text"}),
        ({"source": "path", "path": "a.csv", "label_column": "class"}, {"text"}),
        ({"source": "path", "path": "a.csv", "answer_column": "a"}, {"instruction", "prompts"}),
        ({"source": "path", "path": "a.csv", "messages_column": "a"}, {"instruction", "prompts"}),
        ({"source": "path", "path": "a.csv", "chosen_column": "a", "rejected_column": "b"}, {"preference", "prompts"}),
    ],
)
def test_the_forms_are_known_where_the_columns_are_named(given_: dict[str, Any], forms: set[str] | None) -> None:
    assert DATA.validate_python(given_).forms() == forms


def test_every_field_explains_itself() -> None:
    for adapter in (MODEL, DATA):
        for name, definition in adapter.json_schema()["$defs"].items():
            assert definition["title"] != name and definition["description"]
            for field, schema in definition["properties"].items():
                assert "const" in schema or schema.get("description"), f"{name}.{field}"


@given(st.integers(1, 300), st.sampled_from([1, 2, 4, 8]), st.integers(2, 12))
def test_sizes_are_right_or_refused(width_per_head: int, heads: int, layers: int) -> None:
    sizes = {"layers": layers, "width": width_per_head * heads, "heads": heads}
    if width_per_head % 2 or width_per_head * heads < 8:
        with pytest.raises(ValidationError):
            ConfigModel(**sizes)
    else:
        assert ConfigModel(**sizes).ffn_width % 8 == 0
        assert 0 <= ConfigModel(**sizes).ffn_width - 8 * width_per_head * heads / 3 < 8


def test_the_vocabulary_comes_from_the_data_unless_it_is_given() -> None:
    assert ConfigModel().config(vocab_size=258)["vocab_size"] == 258
    assert ConfigModel(vocab=512).config(vocab_size=258)["vocab_size"] == 512
    assert "vocab_size" not in BUILTIN_MODELS["nano-vit"].config(vocab_size=0, labels=10)


def test_transformers_takes_every_field_of_the_config_that_a_plan_counts() -> None:
    from transformers import AutoConfig

    for architecture in sources.ARCHITECTURES:
        fields = ConfigModel(architecture=architecture).config(vocab_size=258, labels=7)
        config = AutoConfig.for_model(fields["model_type"], **{k: v for k, v in fields.items() if k != "model_type"})
        known = type(config)()
        for name, value in fields.items():
            assert hasattr(known, name), f"{architecture} has no {name}"
            assert getattr(config, name) == value


def test_only_models_without_weights_are_new() -> None:
    assert new_model(BuiltinModel(name="micro")) == BUILTIN_MODELS["micro"]
    assert new_model(ConfigModel()) == ConfigModel() and new_model(RunModel(run=1)) is None


def test_sources_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PathData(path="/data").path = "/etc"  # type: ignore[misc]


def test_sources_load_without_torch() -> None:
    script = (
        "import sys\nfor name in ('torch', 'transformers', 'datasets', 'numpy'): sys.modules[name] = None\n"
        "import gpu_jobs.sources"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
