"""A smaller vocabulary: text of kept tokens is cut and judged as before, and the folder is an ordinary one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gpu_jobs import spec as specs
from gpu_jobs.engine.compressing import vocabulary
from gpu_jobs.engine.data.tokenizers import byte, train_bpe
from gpu_jobs.errors import MethodError
from gpu_jobs.events import Failed, Result
from tests.gpu_jobs.kinds.test_compress import compress, later
from tests.gpu_jobs.methods.compressors.subjects import model
from tests.gpu_jobs.training import TINY, Bench, Outcome

TEXT = "the theory of the thing and the other thing, then another of them; " * 20 + "über 日本 weather whether "
PRUNE = {"method": {"name": "vocab_prune"}, "calibration": {"samples": 8}}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_bpe([TEXT], 330)


@pytest.fixture(scope="module")
def worded(bench: Bench) -> Outcome:
    """A base with byte pairs."""
    return bench.run({"tokenizer": {"name": "bpe", "vocab": 400}})


def test_a_text_of_kept_tokens_is_cut_as_before(tokenizer: Any) -> None:
    text = "then the other thing"
    seen = tokenizer(text)["input_ids"]
    kept = vocabulary.needed(tokenizer, seen)
    small = vocabulary.smaller(tokenizer, kept)
    assert 258 < len(kept) < len(tokenizer) and len(small) == len(kept)
    assert [kept[new] for new in small(text)["input_ids"]] == seen
    assert [kept[number] for number in small.all_special_ids] == tokenizer.all_special_ids


@pytest.mark.parametrize("text", [TEXT, "any ünknown 文字 at all", ""])
def test_any_text_can_be_written_and_read_back(tokenizer: Any, text: str) -> None:
    small = vocabulary.smaller(tokenizer, vocabulary.needed(tokenizer, []))
    assert small.decode(small(text)["input_ids"]) == text
    assert len(small) == 258  # every byte and the two special tokens


@pytest.mark.parametrize("tied", [True, False])
def test_kept_tokens_get_the_same_logits_and_ties_stay(tied: bool) -> None:
    it, twin = (model("llama", tie_word_embeddings=tied, eos_token_id=62, pad_token_id=63) for _ in range(2))
    kept = [1, 4, 5, 9, 30, 62, 63]
    vocabulary.cut(it, kept)
    ids = torch.tensor([[0, 3, 2, 4, 1, 5]])
    old = torch.tensor(kept)[ids]
    with torch.no_grad():
        torch.testing.assert_close(it(ids).logits, twin(old).logits[..., kept], rtol=0, atol=1e-6)
        assert torch.equal(it.model(ids).last_hidden_state, twin.model(old).last_hidden_state)
    assert (it.lm_head.weight is it.model.embed_tokens.weight) == tied
    assert (it.config.vocab_size, it.config.eos_token_id, it.config.pad_token_id) == (7, 5, 6)


def test_transformers_loads_the_smaller_model_with_its_tokenizer(bench: Bench, worded: Outcome) -> None:
    run = compress(bench, worded, PRUNE)
    assert isinstance(run.last, Result), run.last
    values, folder = run.last.values, run.work_dir / "model"
    found, tokens = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    after = values["vocabulary"]["after"]
    assert len(tokens) == found.config.vocab_size == found.lm_head.weight.shape[0] == after < 400
    gone = values["vocabulary"]["before"] - after
    is_tied = found.lm_head.weight is found.model.embed_tokens.weight
    assert values["parameters"]["dense"] - values["parameters"]["total"] == gone * 16 * (1 if is_tied else 2)
    assert values["bytes"]["stored"] < values["bytes"]["dense"]
    assert values["tokens"]["after"] >= values["tokens"]["before"]
    again = later(bench, run, {"kind": "evaluate"})
    assert again.last.values["quality"]["eval/loss"] == values["quality"]["pruned"]["eval/loss"]


def test_bytes_have_nothing_to_leave_out(bench: Bench, base: Outcome) -> None:
    run = compress(bench, base, PRUNE)
    assert isinstance(run.last, Failed) and "every one of the 258 tokens is needed" in run.last.message
    assert vocabulary.needed(byte(), []) == list(range(258))


def test_other_tokenizers_are_refused() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    held: Any = PreTrainedTokenizerFast
    words = held(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")))
    with pytest.raises(MethodError, match="needs a tokenizer of byte pairs"):
        vocabulary.needed(words, [0])


def test_retraining_it_is_a_run_of_its_own(bench: Bench, worded: Outcome) -> None:
    asked = {"kind": "compress", "model": TINY["model"], "data": TINY["data"], "sequence_length": 16, **PRUNE}
    with pytest.raises(ValueError, match="retrain must be left empty with 'vocab_prune'"):
        specs.parse(asked | {"retrain": {}})
    run = later(bench, compress(bench, worded, PRUNE), {"kind": "finetune", "steps": 2, "eval_every": 0})
    assert isinstance(run.last, Result)
