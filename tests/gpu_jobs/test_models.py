"""Models built from every source, and every way in which one can be missing or wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpu_jobs.context import Context
from gpu_jobs.engine import data, models
from gpu_jobs.engine.data import tokenizers
from gpu_jobs.errors import DataError, ModelError
from gpu_jobs.sources import (
    BUILTIN_MODELS,
    BuiltinData,
    BuiltinModel,
    ConfigModel,
    PathModel,
    RunModel,
    Source,
)

TINY = ConfigModel(architecture="llama", layers=2, width=32, heads=4, kv_heads=2, context=64)
BYTE = tokenizers.byte()
IDS = torch.arange(40).reshape(2, 20)


@pytest.fixture
def inputs() -> dict[str, Path]:
    return {}


@pytest.fixture
def context(tmp_path: Path, inputs: dict[str, Path]) -> Context:
    return Context(work_dir=tmp_path / "work", cache_dir=tmp_path / "cache", inputs=inputs)


@pytest.fixture
def build(context: Context) -> Callable[..., Any]:
    def build(source: Source, task: str = "causal_lm", labels: list[str] | None = None, **options: Any) -> Any:
        given = {"seed": 0, "vocab_size": 258} | options
        return models.build(source, context=context, task=task, labels=labels, **given).eval()

    return build


@pytest.fixture
def saved(build: Callable[..., Any], tmp_path: Path) -> Path:
    """A folder as a run leaves it: model and tokenizer."""
    build(TINY).save_pretrained(tmp_path / "saved")
    BYTE.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def adapter(build: Callable[..., Any], saved: Path, tmp_path: Path) -> tuple[Path, torch.Tensor]:
    """A LoRA on `saved` whose weights are not zero, and its logits for IDS."""
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(build(PathModel(path=str(saved))), LoraConfig(r=4, task_type="CAUSAL_LM"))
    torch.manual_seed(0)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    adapted.save_pretrained(tmp_path / "adapter")
    with torch.no_grad():
        return tmp_path / "adapter", adapted.eval()(input_ids=IDS).logits


def weights(model: torch.nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for _, value in sorted(model.state_dict().items()))


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


def refusal(kind: type[Exception], build: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        build(*arguments, **options)
    return str(caught.value)


def test_the_seed_alone_decides_new_weights(build: Callable[..., Any]) -> None:
    torch.manual_seed(1)
    first = build(TINY, seed=5)
    torch.manual_seed(2)
    assert weights(first) == weights(build(TINY, seed=5)) != weights(build(TINY, seed=6))


def test_building_draws_nothing_from_the_process(build: Callable[..., Any]) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    build(TINY)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", sorted(BUILTIN_MODELS.keys() - {"small"}))  # 340 MB, of nano's kind
def test_builtin_sizes_have_the_parameters_that_their_config_says(build: Callable[..., Any], name: str) -> None:
    """Llama without biases: V*d, and a layer 4*d*d + 3*d*f + 2*d, and d; the others must build and take a batch."""
    new = BUILTIN_MODELS[name]
    labels = None if new.architecture == "llama" else ["a", "b", "c"]
    task = {"llama": "causal_lm", "bert": "sequence_classification", "vit": "image_classification"}[new.architecture]
    model = build(BuiltinModel(name=name), task, labels)
    if new.architecture == "llama":
        width, ffn = new.width, new.ffn_width
        layer = 4 * width * width + 3 * width * ffn + 2 * width
        assert model.num_parameters() == 258 * width + new.layers * layer + width
    else:
        assert model.config.num_labels == 3 and model.config.id2label == {0: "a", 1: "b", 2: "c"}


def test_grouped_query_attention_and_untied_embeddings_are_built_as_asked(build: Callable[..., Any]) -> None:
    untied = build(TINY.model_copy(update={"tie_embeddings": False}))
    assert untied.num_parameters() - build(TINY).num_parameters() == 258 * 32
    assert untied.model.layers[0].self_attn.k_proj.weight.shape == (16, 32)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_new_language_models_cannot_see_the_future(build: Callable[..., Any], architecture: str) -> None:
    model = build(ConfigModel(architecture=architecture, layers=2, width=32, heads=4, context=64))
    with torch.no_grad():
        before, changed = model(input_ids=IDS).logits, IDS.clone()
        changed[:, 10:] = 99
        after = model(input_ids=changed).logits
    assert torch.allclose(before[:, :10], after[:, :10], atol=1e-6) and not torch.allclose(before, after, atol=1e-3)


def test_a_new_model_takes_the_batches_of_its_data(build: Callable[..., Any], context: Context) -> None:
    digits = data.load(
        BuiltinData(name="digits"),
        task="image_classification",
        tokenizer=None,
        sequence_length=1,
        context=context,
        seed=0,
    )
    vit = build(BuiltinModel(name="nano-vit"), "image_classification", digits.labels, vocab_size=digits.vocab_size)
    batch = digits.train.batch(np.arange(7))
    answer = vit(**batch)
    assert answer.logits.shape == (7, 10)
    assert answer.loss.item() == pytest.approx(np.log(10), abs=0.2)  # knows nothing yet


def test_a_new_classifier_ignores_padding(build: Callable[..., Any]) -> None:
    for architecture in ("llama", "gpt2", "bert"):
        new = ConfigModel(architecture=architecture, layers=2, width=32, heads=4, context=64)
        model = build(new, "sequence_classification", ["a", "b"])
        ids = torch.tensor([[256, 97, 98, 256]])
        padded = torch.nn.functional.pad(ids, (0, 5), value=BYTE.pad_token_id)
        with torch.no_grad():
            short = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
            long = model(input_ids=padded, attention_mask=(padded != BYTE.pad_token_id).long()).logits
        assert torch.allclose(short, long, atol=1e-6), architecture


def test_a_saved_model_comes_back_bit_for_bit(build: Callable[..., Any], saved: Path, inputs: dict[str, Path]) -> None:
    inputs["run:3"] = saved
    expected = weights(build(TINY))
    assert weights(build(PathModel(path=str(saved)), seed=9)) == weights(build(RunModel(run=3), seed=9)) == expected


def test_the_tokenizer_comes_with_the_model(context: Context, saved: Path, inputs: dict[str, Path]) -> None:
    inputs["run:3"] = saved
    theirs = models.tokenizer_of(RunModel(run=3), context)
    assert theirs is not None and theirs("né")["input_ids"] == list("né".encode()) and theirs.pad_token_id == 257
    assert models.tokenizer_of(TINY, context) is None and models.tokenizer_of(BuiltinModel(), context) is None


def test_a_model_without_tokenizer_has_none(context: Context, build: Callable[..., Any], tmp_path: Path) -> None:
    build(BuiltinModel(name="nano-vit"), "image_classification", ["a", "b"]).save_pretrained(tmp_path / "vit")
    assert models.tokenizer_of(PathModel(path=str(tmp_path / "vit")), context) is None


@pytest.mark.parametrize("place", ["input", "folder", "hone.json"])
def test_an_adapter_is_merged_into_its_base(
    build: Callable[..., Any],
    saved: Path,
    adapter: tuple[Path, torch.Tensor],
    inputs: dict[str, Path],
    context: Context,
    place: str,
) -> None:
    folder, expected = adapter
    inputs["run:2"] = folder
    if place == "input":
        inputs["run:2/base"] = saved
    elif place == "folder":
        saved.rename(folder / "base")
    else:
        inputs["run:1"] = saved
        (folder / "hone.json").write_text(json.dumps({"base": {"source": "run", "run": 1}}))
    model = build(RunModel(run=2))
    assert type(model).__name__ == "LlamaForCausalLM" and all(weight.requires_grad for weight in model.parameters())
    assert torch.allclose(logits(model), expected, atol=1e-5)
    assert not torch.allclose(logits(model), logits(build(TINY)), atol=1e-2)
    assert not [name for name in model.state_dict() if "lora" in name]
    assert models.tokenizer_of(RunModel(run=2), context).pad_token_id == 257  # the base's


def test_an_adapter_on_an_adapter_is_merged_from_the_bottom(
    build: Callable[..., Any], saved: Path, adapter: tuple[Path, torch.Tensor], inputs: dict[str, Path], tmp_path: Path
) -> None:
    from peft import LoraConfig, get_peft_model

    inputs |= {"run:2": adapter[0], "run:2/base": saved}
    second = get_peft_model(build(RunModel(run=2)), LoraConfig(r=2, init_lora_weights=False, task_type="CAUSAL_LM"))
    expected = logits(second.eval())
    second.save_pretrained(tmp_path / "second")
    inputs |= {"run:3": tmp_path / "second", "run:3/base": adapter[0], "run:3/base/base": saved}
    assert torch.allclose(logits(build(RunModel(run=3))), expected, atol=1e-5)


def test_a_classifying_adapter_brings_its_trained_head(
    build: Callable[..., Any], saved: Path, inputs: dict[str, Path], tmp_path: Path
) -> None:
    from peft import LoraConfig, get_peft_model

    task, names = "sequence_classification", ["x", "y"]
    adapted = get_peft_model(
        build(PathModel(path=str(saved)), task, names), LoraConfig(init_lora_weights=False, task_type="SEQ_CLS")
    )
    torch.nn.init.normal_(adapted.base_model.model.score.modules_to_save["default"].weight)
    expected = logits(adapted.eval())
    adapted.save_pretrained(tmp_path / "adapter")
    inputs |= {"run:2": tmp_path / "adapter", "run:2/base": saved}
    assert torch.allclose(logits(build(RunModel(run=2), task, names, seed=8)), expected, atol=1e-5)


def test_a_language_model_gets_a_seeded_head_for_classes(build: Callable[..., Any], saved: Path) -> None:
    source, names = PathModel(path=str(saved)), ["x", "y", "z"]
    first, second, other = (build(source, "sequence_classification", names, seed=seed) for seed in (4, 4, 5))
    assert torch.equal(first.score.weight, second.score.weight) and not torch.equal(
        first.score.weight, other.score.weight
    )
    assert torch.equal(first.model.embed_tokens.weight, other.model.embed_tokens.weight)
    assert first.config.pad_token_id == 257 and first.config.id2label == {0: "x", 1: "y", 2: "z"}


def test_a_classifier_keeps_its_head_for_the_same_classes_only(build: Callable[..., Any], tmp_path: Path) -> None:
    task, source = "sequence_classification", PathModel(path=str(tmp_path / "bert"))
    bert = build(BuiltinModel(name="nano-bert"), task, ["no", "yes"])
    bert.save_pretrained(tmp_path / "bert")
    assert torch.equal(build(source, task, ["no", "yes"], seed=3).classifier.weight, bert.classifier.weight)
    message = refusal(DataError, build, source, task, ["a", "b", "c"])
    assert "has 2 classes (no, yes) and the data have 3 (a, b, c)" in message
    assert "same classes in the same order" in refusal(DataError, build, source, task, ["yes", "no"])


def test_an_encoder_can_not_be_trained_to_predict_the_next_token(build: Callable[..., Any], tmp_path: Path) -> None:
    assert "choose a decoder" in refusal(ModelError, build, BuiltinModel(name="nano-bert"))
    build(BuiltinModel(name="nano-bert"), "sequence_classification", ["a", "b"]).save_pretrained(tmp_path / "bert")
    assert "choose a decoder" in refusal(ModelError, build, PathModel(path=str(tmp_path / "bert")))


def test_more_tokens_than_embeddings_are_refused(build: Callable[..., Any]) -> None:
    small = TINY.model_copy(update={"vocab": 100})
    assert "100 embeddings but the tokenizer has 258 tokens" in refusal(ModelError, build, small)


def test_a_missing_run_or_folder_is_a_sentence(build: Callable[..., Any], tmp_path: Path, saved: Path) -> None:
    assert refusal(ModelError, build, RunModel(run=9)).startswith("the model of run:9 is not on this worker")
    assert "model.path: there is no '/nowhere'" in refusal(ModelError, build, PathModel(path="/nowhere"))
    assert "has no config.json" in refusal(ModelError, build, PathModel(path=str(tmp_path)))
    config = str(saved / "config.json")
    assert "is a file: name the folder" in refusal(ModelError, build, PathModel(path=config))


def test_a_model_outside_the_data_root_is_not_opened(
    build: Callable[..., Any], saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HONE_DATA_ROOT", str(tmp_path / "cache"))
    assert "lies outside HONE_DATA_ROOT" in refusal(ModelError, build, PathModel(path=str(saved)))


class Bomb:
    """What a hostile pickle does when it is opened."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_pickled_weights_are_refused_unopened(build: Callable[..., Any], saved: Path, tmp_path: Path) -> None:
    import pickle

    (saved / "model.safetensors").unlink()
    (saved / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    message = refusal(ModelError, build, PathModel(path=str(saved)))
    assert "are a pickle (pytorch_model.bin), which is never opened: save them as safetensors" in message
    assert not (tmp_path / "exploded").exists()


def test_a_pickled_adapter_is_refused_unopened(
    build: Callable[..., Any], saved: Path, adapter: tuple[Path, torch.Tensor], inputs: dict[str, Path], tmp_path: Path
) -> None:
    import pickle

    folder, _ = adapter
    inputs |= {"run:2": folder, "run:2/base": saved}
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    assert "are a pickle (adapter_model.bin)" in refusal(ModelError, build, RunModel(run=2))
    assert not (tmp_path / "exploded").exists()


def test_code_in_a_model_folder_is_not_run(build: Callable[..., Any], saved: Path, tmp_path: Path) -> None:
    (saved / "evil.py").write_text(f"open({str(tmp_path / 'exploded')!r}, 'w')")
    config = json.loads((saved / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}}
    (saved / "config.json").write_text(json.dumps(config))
    assert "can't be read" in refusal(ModelError, build, PathModel(path=str(saved)))
    assert not (tmp_path / "exploded").exists()


def test_a_kernel_from_elsewhere_is_refused(build: Callable[..., Any], saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"attn_implementation": "someone/kernel"}))
    assert "asks for code from elsewhere (someone/kernel)" in refusal(ModelError, build, PathModel(path=str(saved)))


def test_broken_or_incomplete_weights_are_refused(build: Callable[..., Any], saved: Path) -> None:
    from safetensors.torch import load_file, save_file

    whole = load_file(saved / "model.safetensors")
    whole.pop("model.layers.1.mlp.up_proj.weight")
    save_file(whole, saved / "model.safetensors", metadata={"format": "pt"})
    message = refusal(ModelError, build, PathModel(path=str(saved)))
    assert "not complete for task 'causal_lm': model.layers.1.mlp.up_proj.weight is missing" in message
    (saved / "model.safetensors").write_bytes(b"not safetensors")
    assert "can't be read" in refusal(ModelError, build, PathModel(path=str(saved)))


def test_an_adapter_without_base_or_on_itself_is_refused(
    build: Callable[..., Any], adapter: tuple[Path, torch.Tensor], inputs: dict[str, Path]
) -> None:
    folder, _ = adapter
    inputs["run:2"] = folder
    assert "comes without its base model" in refusal(ModelError, build, RunModel(run=2))
    (folder / "hone.json").write_text(json.dumps({"base": "run:2"}))
    assert "stands on more than 16 others" in refusal(ModelError, build, RunModel(run=2))


def test_an_adapter_that_does_not_fit_its_base_is_refused(
    build: Callable[..., Any], adapter: tuple[Path, torch.Tensor], inputs: dict[str, Path], tmp_path: Path
) -> None:
    build(TINY.model_copy(update={"width": 64})).save_pretrained(tmp_path / "wide")
    inputs |= {"run:2": adapter[0], "run:2/base": tmp_path / "wide"}
    assert "can't be merged into its base" in refusal(ModelError, build, RunModel(run=2))


HUB_SCRIPT = """
import sys
from pathlib import Path
from gpu_jobs.context import Context
from gpu_jobs.engine import data, models
from gpu_jobs.errors import DataError, ModelError
from gpu_jobs.sources import HubData, HubModel
context = Context(Path(sys.argv[1]), Path(sys.argv[1]))
for name in ("someone/tiny", "someone/absent"):
    try:
        source = HubModel(id=name)
        model = models.build(source, context=context, seed=0, task="causal_lm", vocab_size=258, labels=None)
        print(model.num_parameters(), models.tokenizer_of(source, context)("ab")["input_ids"])
    except ModelError as error:
        print(error)
try:
    absent = {"task": "causal_lm", "tokenizer": {"name": "byte"}, "sequence_length": 8, "seed": 0}
    data.load(HubData(id="someone/absent"), context=context, **absent)
except DataError as error:
    print(error)
"""


def test_a_hub_model_is_read_from_the_machines_cache_when_there_is_no_network(
    saved: Path, tmp_path: Path, build: Callable[..., Any]
) -> None:
    commit = "0" * 40
    repository = tmp_path / "hf" / "hub" / "models--someone--tiny"
    (repository / "snapshots").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    saved.rename(repository / "snapshots" / commit)
    environment = os.environ | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", HUB_SCRIPT, str(tmp_path)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert answer[0] == f"{build(TINY).num_parameters()} [97, 98]"
    assert answer[1].startswith("the model someone/absent can't be read") and "has a network" in answer[1]
    assert answer[2].startswith("the data set 'someone/absent' can't be loaded") and "has a network" in answer[2]
