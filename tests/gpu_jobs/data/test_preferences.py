"""Preferences and prompts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpu_jobs.engine.data import Data
from gpu_jobs.sources import BuiltinData
from tests.gpu_jobs.data.conftest import path_data, write_rows

Load = Callable[..., Data]
END, PAD = 256, 257


def preferences(count: int = 30) -> list[dict[str, str]]:
    return [{"prompt": f"Say {number}: ", "chosen": f"{number}!", "rejected": f"no, not {number}"}
            for number in range(count)]  # fmt: skip


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def said(batch: dict[str, torch.Tensor], row: int) -> tuple[str, str]:
    """Prompt and answer of a row, as text."""
    ids = batch["input_ids"][row][batch["attention_mask"][row] == 1]
    answer = batch["labels"][row][batch["labels"][row] != -100]
    assert answer[-1] == END and ids[len(ids) - len(answer) :].equal(answer)
    return bytes(ids[: len(ids) - len(answer)].tolist()).decode(), bytes(answer[:-1].tolist()).decode()


def test_the_better_answers_come_first_then_the_worse_in_the_same_order(load: Load, tmp_path: Path) -> None:
    path = path_data(write_rows(tmp_path / "rows.parquet", preferences()))
    data, seen = load(path, form="preference", sequence_length=64), set()
    for split in data.splits().values():
        batch = split.batch(np.arange(len(split)))
        assert set(batch) == {"input_ids", "attention_mask", "labels"} and len(batch["labels"]) == 2 * len(split)
        assert (batch["input_ids"][batch["attention_mask"] == 0] == PAD).all()
        assert (batch["labels"][batch["attention_mask"] == 0] == -100).all()
        for row in range(len(split)):
            better, worse = said(batch, row), said(batch, row + len(split))
            assert better[0] == worse[0]
            seen.add((*better, worse[1]))
    assert seen == {tuple(row.values()) for row in preferences()}


def test_a_long_prompt_is_cut_alike_for_both_answers(load: Load, tmp_path: Path) -> None:
    rows = [{"prompt": f"{n:02}" + "abcdefghij" * 5, "chosen": "short", "rejected": "much longer answer"}
            for n in range(20)]  # fmt: skip
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", rows)), form="preference", sequence_length=32)
    batch = data.train.batch(np.arange(3))
    assert batch["input_ids"].shape == (6, 32)
    prompts = [said(batch, row)[0] for row in range(6)]
    assert set(prompts) == {("abcdefghij" * 5)[-(32 - len("much longer answer") - 1) :]}


def test_answers_longer_than_a_row_are_cut_at_their_end(load: Load, tmp_path: Path) -> None:
    rows = [{"prompt": f"prompt {n}:", "chosen": "x" * 50, "rejected": "y" * 50} for n in range(20)]
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", rows)), form="preference", sequence_length=16)
    batch = data.train.batch(np.arange(2))
    assert batch["input_ids"].tolist() == [[ord(":")] + [ord("x")] * 15] * 2 + [[ord(":")] + [ord("y")] * 15] * 2


@pytest.mark.parametrize("way", ["answers as messages", "whole conversations", "a prompt repeated in conversations"])
def test_preferences_of_conversations(load: Load, tmp_path: Path, way: str) -> None:
    rows: list[dict[str, Any]] = []
    for number in range(20):
        prompt = [message("user", f"q{number}"), message("assistant", "why?"), message("user", "so")]
        better, worse = [message("assistant", "yes")], [message("assistant", "never")]
        if way == "answers as messages":
            rows.append({"prompt": prompt, "chosen": better, "rejected": worse})
        elif way == "whole conversations":
            rows.append({"chosen": prompt + better, "rejected": prompt + worse})
        else:
            rows.append({"prompt": f"q{number}", "chosen": prompt + better, "rejected": prompt + worse})
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", rows)), form="preference", sequence_length=256)
    batch = data.train.batch(np.arange(1))
    ids = [batch["input_ids"][row][batch["attention_mask"][row] == 1].tolist() for row in (0, 1)]
    texts = [data.tokenizer.decode(row) for row in ids]
    assert texts[0].endswith("### user\nso\n### assistant\nyes<|endoftext|>\n")
    assert texts[0].removesuffix("yes<|endoftext|>\n") == texts[1].removesuffix("never<|endoftext|>\n")
    labels = [row[row != -100].tolist() for row in batch["labels"]]
    assert [bytes(row[:-1]) for row in labels] == [b"yes", b"never"] and labels[0][-1] == END


def test_prompts_are_padded_on_the_left_and_bring_their_answers(load: Load, tmp_path: Path) -> None:
    rows = [{"prompt": f"{number} plus one is" + "?" * number, "answer": str(number + 1)} for number in range(30)]
    data, seen = load(path_data(write_rows(tmp_path / "rows.jsonl", rows)), form="prompts", sequence_length=64), set()
    for split in data.splits().values():
        batch = split.batch(np.arange(len(split)))
        assert set(batch) == {"input_ids", "attention_mask", "answer_ids"}
        mask = batch["attention_mask"]
        assert (mask[:, -1] == 1).all() and (mask.diff(dim=1) >= 0).all()
        assert (batch["input_ids"][mask == 0] == PAD).all()
        for ids, kept, answer in zip(batch["input_ids"], mask, batch["answer_ids"], strict=True):
            reference = answer[answer != -100]
            assert reference[-1] == END
            seen.add((bytes(ids[kept == 1].tolist()).decode(), bytes(reference[:-1].tolist()).decode()))
    assert seen == {(row["prompt"], row["answer"]) for row in rows}


def test_prompts_without_answers_and_those_of_preferences(load: Load, tmp_path: Path) -> None:
    rows = [{"prompt": row["prompt"]} for row in preferences()]
    for name, found in (("a.jsonl", rows), ("b.jsonl", preferences())):
        data = load(path_data(write_rows(tmp_path / name, found)), form="prompts", sequence_length=64)
        batch = data.train.batch(np.arange(2))
        assert set(batch) == {"input_ids", "attention_mask"}


def test_a_conversation_is_asked_up_to_its_last_answer(load: Load, tmp_path: Path) -> None:
    rows = []
    for number in range(20):
        turns = [message("user", f"q{number}"), message("assistant", "why?"), message("user", "so")]
        rows.append({"messages": turns + [message("assistant", "yes")] * (number % 2)})
    data, counts = load(path_data(write_rows(tmp_path / "rows.jsonl", rows)), form="prompts", sequence_length=256), 0
    for split in data.splits().values():
        batch = split.batch(np.arange(len(split)))
        for ids, mask, answer in zip(batch["input_ids"], batch["attention_mask"], batch["answer_ids"], strict=True):
            assert data.tokenizer.decode(ids[mask == 1]).endswith("### user\nso\n### assistant\n")
            reference = answer[answer != -100].tolist()
            assert bytes(reference[:-1]) == b"yes" if reference else True
            counts += bool(reference)
    assert counts == 10


def test_the_end_of_a_long_prompt_is_kept(load: Load, tmp_path: Path) -> None:
    rows = [{"prompt": f"{number:02}" + "abcdefghij" * 5, "answer": "x" * 50} for number in range(20)]
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", rows)), form="prompts", sequence_length=16)
    batch = data.train.batch(np.arange(2))
    assert bytes(batch["input_ids"][0].tolist()) == (b"abcdefghij" * 5)[-16:]
    assert batch["answer_ids"].shape == (2, 16)


def test_prompts_are_left_padded_as_a_model_generates_from_them(load: Load, tmp_path: Path) -> None:
    """Greedy answers to a padded batch are those to each prompt alone."""
    import transformers

    rows = [{"prompt": "ab" * (number + 1) + "?"} for number in range(20)]
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", rows)), form="prompts", sequence_length=64)
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model("gpt2", vocab_size=258, n_layer=2, n_embd=32, n_head=2, n_positions=128,
                                               bos_token_id=END, eos_token_id=END, pad_token_id=PAD)  # fmt: skip
    model: Any = transformers.AutoModelForCausalLM.from_config(config).eval()
    batch = data.train.batch(np.arange(6))
    together = model.generate(**batch, max_new_tokens=5, do_sample=False)[:, -5:]
    for row in range(6):
        ids = batch["input_ids"][row][batch["attention_mask"][row] == 1][None]
        assert model.generate(ids, max_new_tokens=5, do_sample=False)[0, -5:].equal(together[row])


def test_the_built_in_questions_in_every_form(load: Load) -> None:
    source = BuiltinData(name="topic-questions")
    samples = {form: sum(map(len, load(source, form=form, packing="none").splits().values()))
               for form in ("instruction", "preference", "prompts")}  # fmt: skip
    assert samples["instruction"] == samples["prompts"] and samples["instruction"] % 5 == 0
    assert samples["instruction"] >= samples["preference"] >= 350
    assert load(source, form="auto").form == "instruction"


def test_answers_of_the_evaluated_topics_are_never_trained_on_not_even_as_worse_ones(load: Load) -> None:
    data = load(BuiltinData(name="topic-questions", test_fraction=0.1), form="preference", sequence_length=512)
    seen = []
    for split in data.splits().values():
        batch = split.batch(np.arange(len(split)))
        seen.append({said(batch, row)[1] for row in range(2 * len(split))})
    train, evaluation, test = seen
    assert len(train) > 40 and len(evaluation) >= 4 and len(test) >= 4
    assert not train & evaluation and not train & test and not evaluation & test
    for split in data.splits().values():
        batch = split.batch(np.arange(len(split)))
        for row in range(len(split)):
            assert said(batch, row)[1] != said(batch, row + len(split))[1]


def test_the_built_in_packages_are_balanced_and_some_thousands(load: Load) -> None:
    data = load(BuiltinData(name="stdlib-packages"), "sequence_classification", sequence_length=512)
    labels = torch.cat([split.batch(np.arange(len(split)))["labels"] for split in data.splits().values()])
    counts = torch.bincount(labels)
    assert data.labels is not None and len(data.labels) == len(counts) == 8 and "asyncio" in data.labels
    assert counts.min() == counts.max() and 2000 <= len(labels) <= 3200
    batch = data.train.batch(np.arange(len(data.train)))
    number = data.labels.index("unittest")
    texts = [bytes(ids[ids < 256].tolist()).decode()
             for ids, label in zip(batch["input_ids"], batch["labels"], strict=True) if label == number]  # fmt: skip
    assert all(200 <= len(text) <= 400 for text in texts) and any("assert" in text for text in texts)
    assert len(load(BuiltinData(name="stdlib-packages"), "masked_lm", sequence_length=64).train) > 1000
