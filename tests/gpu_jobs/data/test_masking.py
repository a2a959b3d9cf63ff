"""Masking hides the share that is asked for, in the ways the paper says, and nothing special."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

from gpu_jobs.engine.data import Data, tokenizers
from gpu_jobs.engine.data.masking import mask
from gpu_jobs.errors import DataError
from gpu_jobs.sources import BuiltinData

Load = Callable[..., Data]
SPECIAL, MASK, VOCAB = [0, 1, 99], 99, 100


def ids(count: int = 200_000) -> torch.Tensor:
    return torch.randint(VOCAB - 1, (count // 100, 100), generator=torch.Generator().manual_seed(7))


def run(share: float = 0.15, seed: int = 0, given: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = ids() if given is None else given
    return mask(tokens, SPECIAL, MASK, VOCAB, share, torch.Generator().manual_seed(seed))


def is_near(count: int, of: int, share: float) -> bool:
    """Within four standard deviations of a binomial count."""
    return abs(count - of * share) < 4 * sqrt(of * share * (1 - share))


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5])
def test_the_share_and_what_becomes_of_it(share: float) -> None:
    tokens = ids()
    inputs, labels = run(share)
    chosen = labels != -100
    ordinary = int((tokens > 1).sum())
    assert is_near(int(chosen.sum()), ordinary, share)
    of = int(chosen.sum())
    assert is_near(int((inputs[chosen] == MASK).sum()), of, 0.8)
    kept = (inputs == tokens)[chosen]
    words = VOCAB - len(SPECIAL)
    assert is_near(int(kept.sum()), of, 0.1 + 0.1 / words)  # a random token may be the same one
    replaced = chosen & (inputs != MASK) & (inputs != tokens)
    assert is_near(int(replaced.sum()), of, 0.1 * (1 - 1 / words))
    counts = torch.bincount(inputs[replaced], minlength=VOCAB)[2:99]
    assert counts.min() > 0 and is_near(int(counts[:48].sum()), int(counts.sum()), 48 / words)


def test_labels_are_the_tokens_and_the_others_stay() -> None:
    tokens = ids()
    inputs, labels = run()
    assert (labels[labels != -100] == tokens[labels != -100]).all()
    assert (inputs[labels == -100] == tokens[labels == -100]).all()


def test_special_tokens_are_never_chosen_and_never_put_in() -> None:
    tokens = ids()
    inputs, labels = run(1.0)
    assert (labels[tokens <= 1] == -100).all() and (labels[tokens > 1] != -100).all()
    assert (inputs[tokens > 1] > 1).all()


def test_the_generator_decides_and_the_input_is_left_alone() -> None:
    tokens = ids()
    before = tokens.clone()
    one, same, other = run(given=tokens), run(given=tokens), run(seed=1, given=tokens)
    assert one[0].equal(same[0]) and one[1].equal(same[1]) and not one[0].equal(other[0])
    assert tokens.equal(before)


def test_a_vocabulary_of_special_tokens_is_refused() -> None:
    with pytest.raises(DataError, match="all 3 tokens are special"):
        mask(torch.zeros(2, 2, dtype=torch.long), [0, 1], 2, 3, 0.15)


@pytest.mark.parametrize("choice", [{"name": "byte"}, {"name": "bpe", "vocab": 400}])
def test_our_tokenizers_have_a_mask_where_the_task_needs_one(load: Load, choice: dict[str, object]) -> None:
    data = load(BuiltinData(), "masked_lm", tokenizer=choice, sequence_length=64)
    size = data.vocab_size
    assert data.mask_token_id == size - 3 and data.special_ids == [size - 3, size - 2, size - 1]
    assert size == (259 if choice["name"] == "byte" else 400)
    assert data.tokenizer.eos_token_id == size - 2 and data.tokenizer.pad_token_id == size - 1  # as models expect
    batch = data.train.batch(np.arange(4))
    plain = load(BuiltinData(), tokenizer=choice, sequence_length=64)
    assert set(batch) == {"input_ids", "labels"} and plain.mask_token_id is None
    assert plain.vocab_size == (258 if choice["name"] == "byte" else 400)
    if choice["name"] == "byte":
        assert batch["input_ids"].equal(plain.train.batch(np.arange(4))["input_ids"])  # the first 256 tokens are bytes
    assert data.fingerprint != plain.fingerprint


def test_a_tokenizer_with_a_mask_is_saved_with_it(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizers.byte(masks=True).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.mask_token_id == 256 and len(again) == 259


def test_a_base_whose_tokenizer_has_no_mask_is_refused(load: Load) -> None:
    with pytest.raises(DataError, match="no token that masks others"):
        load(BuiltinData(), "masked_lm", tokenizer=tokenizers.byte())


def test_isolated_rows_are_not_for_masked_models(load: Load) -> None:
    with pytest.raises(DataError, match="choose joined or none"):
        load(BuiltinData(), "masked_lm", packing="isolated")
