"""Documents that share a row do not see each other: what a model says of each is what it says of it alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpu_jobs.engine import objective
from gpu_jobs.engine.data import Data
from gpu_jobs.engine.data.isolation import sees_others
from gpu_jobs.sources import BuiltinData
from tests.gpu_jobs.data.conftest import path_data, rows_of_topics, write_rows

Load = Callable[..., Data]
SIZES: dict[str, dict[str, Any]] = {
    "llama": {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64,
              "max_position_embeddings": 512},
    "gpt2": {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": 512},
}  # fmt: skip


def build(architecture: str, attention: str) -> Any:
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(architecture, vocab_size=258, use_cache=False, **SIZES[architecture])
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()


def documents_of(batch: dict[str, torch.Tensor]) -> list[tuple[int, slice]]:
    """The row and the place of each document, padding included."""
    found = []
    for row, positions in enumerate(batch["position_ids"].tolist()):
        starts = [place for place, position in enumerate(positions) if position == 0]
        found += [(row, slice(a, b)) for a, b in zip(starts, [*starts[1:], len(positions)], strict=True)]
    return found


@pytest.fixture
def batches(load: Load, tmp_path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Packed instructions, and packed texts of many lengths."""
    texts = [{"text": row["text"][: 20 + 7 * number % 180]} for number, row in enumerate(rows_of_topics(80))]
    path = path_data(write_rows(tmp_path / "rows.jsonl", texts))
    loaded = {
        "instruction": load(BuiltinData(name="topic-questions"), form="instruction", sequence_length=512),
        "text": load(path, packing="isolated", sequence_length=256),
    }
    return {name: data.train.batch(np.linspace(0, len(data.train) - 1, 5).astype(int)) for name, data in loaded.items()}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("form", ["instruction", "text"])
def test_packed_documents_are_scored_as_if_alone(
    batches: dict[str, dict[str, torch.Tensor]], form: str, architecture: str, attention: str
) -> None:
    model, batch = build(architecture, attention), batches[form]
    places = documents_of(batch)
    assert len(places) > 8
    with torch.no_grad():
        together = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits
        loss = objective.loss_sum(model, batch)
        alone = torch.zeros(())
        for row, place in places:
            document = {name: batch[name][row, place][None] for name in ("input_ids", "labels")}
            logits = model(input_ids=document["input_ids"]).logits[0]
            assert torch.allclose(together[row, place], logits, atol=1e-5)
            alone += objective.loss_sum(model, document)
    assert loss.item() == pytest.approx(alone.item(), rel=1e-5)


def test_without_the_positions_documents_would_see_each_other(batches: dict[str, dict[str, torch.Tensor]]) -> None:
    """That the test above can fail."""
    batch, model = batches["text"], build("llama", "sdpa")
    row, place = next((row, place) for row, place in documents_of(batch) if place.start)
    with torch.no_grad():
        joined = model(input_ids=batch["input_ids"]).logits[row, place]
        alone = model(input_ids=batch["input_ids"][row, place][None]).logits[0]
    assert not torch.allclose(joined, alone, atol=1e-3)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_a_model_is_tried_out_before_documents_share_its_rows(architecture: str) -> None:
    model = build(architecture, "sdpa").train()
    assert not sees_others(model) and model.training
    model.config.use_cache = True  # with a cache, transformers makes no such mask
    assert sees_others(model)


def test_no_token_is_predicted_across_a_boundary(batches: dict[str, dict[str, torch.Tensor]]) -> None:
    for batch in batches.values():
        assert (batch["labels"][batch["position_ids"] == 0] == -100).all()
        assert (batch["labels"][batch["input_ids"] == 257] == -100).all()
        counted = batch["labels"] != -100
        assert (batch["labels"][counted] == batch["input_ids"][counted]).all()


def test_isolated_rows_hold_each_text_once_and_in_one_piece(load: Load, tmp_path: Path) -> None:
    texts = sorted({row["text"][:100] for row in rows_of_topics(100)})
    path = path_data(write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in texts]))
    found = []
    for split in load(path, packing="isolated", sequence_length=512).splits().values():
        batch = split.batch(np.arange(len(split)))
        for row, place in documents_of(batch):
            ids = batch["input_ids"][row, place]
            if ids[0] != 257:
                assert ids[-1] == 256
                found.append(bytes(ids[:-1].tolist()).decode())
    assert sorted(found) == texts


def test_a_document_that_lies_on_both_sides_begins_anew_after_each_gap(load: Load, prose: Path) -> None:
    """Sections of one text that is divided: those that were neighbours stay together, others are kept apart."""
    text, found = prose.read_bytes(), 0
    data = load(path_data(prose), packing="none", sequence_length=10**6)
    for split in data.splits().values():
        batch = split.batch(np.arange(len(split)))
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            run = bytes(value for value in ids[mask == 1].tolist() if value < 256)
            assert run in text
            found += len(run)
    assert found == len(text) and len(data.train) > 1


def test_a_long_text_is_cut_into_pieces(load: Load, prose: Path) -> None:
    other = prose.with_name("other.txt")
    other.write_text("x" * 10)
    data = load(path_data(prose, eval_path=str(other)), packing="none", sequence_length=64)
    length = len(prose.read_bytes()) + 1
    assert len(data.train) == -(-length // 64)
    batch = data.train.batch(np.arange(len(data.train)))
    assert int(batch["attention_mask"].sum()) == length
    assert (batch["labels"][batch["attention_mask"] == 0] == -100).all()


def test_the_share_of_padding_is_that_of_the_batches(load: Load) -> None:
    data = load(BuiltinData(name="topic-questions"), form="instruction", sequence_length=512)
    batch = data.train.batch(np.arange(len(data.train)))
    assert data.padding == pytest.approx(float((batch["input_ids"] == 257).float().mean()))
    alone = load(BuiltinData(name="topic-questions"), form="instruction", packing="none", sequence_length=512)
    assert data.padding < (1 - alone.tokens / (len(alone.train) * 512)) / 2
    assert load(BuiltinData(), sequence_length=64).padding is None
