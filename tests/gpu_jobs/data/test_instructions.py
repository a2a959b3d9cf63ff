"""Prompts with answers, and conversations: what is to be predicted, what is cut, and on which side it lies."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpu_jobs.engine.data import Data, tokenizers
from gpu_jobs.engine.data.chat import TEMPLATE
from gpu_jobs.sources import BuiltinData
from tests.gpu_jobs.data.conftest import path_data, write_rows

Load = Callable[..., Data]
END, PAD = 256, 257
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def pairs(count: int = 40) -> list[dict[str, str]]:
    return [{"prompt": f"What is {number} + {number}? ", "answer": f"It is {2 * number}."} for number in range(count)]


def chats(count: int = 30) -> list[dict[str, Any]]:
    """Conversations of three turns or five, with a system prompt in every third."""
    found = []
    for number in range(count):
        turns = [("user", f"Count from {number}."), ("assistant", f"{number}, {number + 1}")]
        turns += [("user", "Go on."), ("assistant", f"{number + 2}.")] if number % 2 else []
        turns = [("system", "Be brief."), *turns] if number % 3 == 0 else turns
        found.append({"messages": [{"role": role, "content": content} for role, content in turns]})
    return found


def answers(batch: dict[str, torch.Tensor]) -> list[list[int]]:
    """The tokens to be predicted in each row."""
    return [row[row != -100].tolist() for row in batch["labels"]]


def everything(data: Data) -> list[tuple[str, list[list[int]], dict[str, torch.Tensor]]]:
    found = []
    for name, split in data.splits().items():
        batch = split.batch(np.arange(len(split)))
        found.append((name, answers(batch), batch))
    return found


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_of_a_pair_only_the_answer_and_its_end_are_predicted(load: Load, tmp_path: Path, ending: str) -> None:
    path = write_rows(tmp_path / f"rows.{ending}", pairs())
    data = load(path_data(path), form="instruction", packing="none", sequence_length=64)
    seen = set()
    for _, found, batch in everything(data):
        assert set(batch) == {"input_ids", "attention_mask", "labels"}
        for ids, mask, answer in zip(batch["input_ids"], batch["attention_mask"], found, strict=True):
            text = bytes(ids[mask == 1][:-1].tolist()).decode()
            assert ids[mask == 1][-1] == END and answer[-1] == END and (ids[mask == 0] == PAD).all()
            assert text.endswith(bytes(answer[:-1]).decode())
            seen.add((text.removesuffix(bytes(answer[:-1]).decode()), bytes(answer[:-1]).decode()))
    assert seen == {(row["prompt"], row["answer"]) for row in pairs()}


def test_isolated_rows_hold_the_same_pairs(load: Load, tmp_path: Path) -> None:
    path = path_data(write_rows(tmp_path / "rows.jsonl", pairs()))
    alone = load(path, form="instruction", packing="none", sequence_length=128)
    packed = load(path, form="instruction", sequence_length=128)
    assert len(packed.train) < len(alone.train) and packed.fingerprint == alone.fingerprint
    batch = packed.train.batch(np.arange(len(packed.train)))
    assert set(batch) == {"input_ids", "position_ids", "labels"}
    assert all(value.shape == (len(packed.train), 128) and value.dtype == torch.int64 for value in batch.values())
    apart = answers(alone.train.batch(np.arange(len(alone.train))))
    assert sorted(chain(*answers(batch))) == sorted(chain(*apart))


def test_alpaca_and_question_columns_are_recognised(load: Load, tmp_path: Path) -> None:
    rows = [{"instruction": f"Add {number}", "input": "to 1" if number % 2 else "", "output": str(number + 1)}
            for number in range(20)]  # fmt: skip
    data = load(path_data(write_rows(tmp_path / "a.jsonl", rows)), form="auto", packing="none", sequence_length=64)
    assert data.form == "instruction"
    texts = {bytes(ids[ids < 256].tolist()).decode() for *_, batch in everything(data) for ids in batch["input_ids"]}
    assert {"Add 23", "Add 3\n\nto 14"} <= texts
    rows = [{"question": f"{number}?", "answer": number} for number in range(20)]
    data = load(path_data(write_rows(tmp_path / "b.jsonl", rows)), form="auto", packing="none")
    assert data.form == "instruction"


def test_the_form_goes_by_the_columns_and_a_column_called_text_comes_first(load: Load, tmp_path: Path) -> None:
    preferences = [{"prompt": f"{n}", "chosen": f"a{n}", "rejected": f"b{n}"} for n in range(20)]
    tables = {
        "text": [row | {"text": "some words " * 20} for row in pairs()],
        "instruction": [{"id": str(number), **row} for number, row in enumerate(chats())],
        "preference": preferences,
    }
    for form, rows in tables.items():
        path = path_data(write_rows(tmp_path / f"{form}.jsonl", rows))
        assert load(path, form="auto", sequence_length=16).form == form
        assert load(path, form="auto", sequence_length=16).form == form  # from what was noted
    named = path_data(tmp_path / "text.jsonl", prompt_column="prompt", answer_column="answer")
    assert load(named, form="auto").form == "instruction"


def test_auto_reads_a_text_as_it_always_was(load: Load, prose: Path) -> None:
    assert load(path_data(prose), form="auto").fingerprint == load(path_data(prose)).fingerprint


def test_every_turn_of_the_assistant_is_predicted_with_its_end_and_nothing_else(load: Load, tmp_path: Path) -> None:
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", chats())), form="instruction", packing="none",
                sequence_length=256)  # fmt: skip
    expected = sorted(
        [token for m in row["messages"] if m["role"] == "assistant" for token in (*m["content"].encode(), END)]
        for row in chats()
    )
    assert sorted(answer for _, found, _ in everything(data) for answer in found) == expected
    assert data.tokenizer.chat_template == TEMPLATE


def test_the_default_template_is_what_transformers_renders(load: Load, tmp_path: Path) -> None:
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", chats())), form="instruction", packing="none",
                sequence_length=256)  # fmt: skip
    rendered = {tuple(data.tokenizer.apply_chat_template(row["messages"], return_dict=False)) for row in chats()}
    found = set()
    for *_, batch in everything(data):
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            found.add(tuple(ids[mask == 1].tolist()))
    assert found == rendered


def speaking() -> Any:
    """A BPE tokenizer with a ChatML template and its marks as special tokens, as chat models bring."""
    texts = [message["content"] for row in chats(200) for message in row["messages"]] + ["user assistant system"] * 50
    tokenizer = tokenizers.train_bpe(texts, 330)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    return tokenizer


def test_a_base_models_template_and_marks_are_used(load: Load, tmp_path: Path) -> None:
    tokenizer = speaking()
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    path = path_data(write_rows(tmp_path / "rows.jsonl", chats()))
    data = load(path, form="instruction", packing="none", tokenizer=tokenizer, sequence_length=256)
    found = [answer for _, rows, _ in everything(data) for answer in rows]
    said = sorted("".join(m["content"] + "<|im_end|>" for m in row["messages"] if m["role"] == "assistant")
                  for row in chats())  # fmt: skip
    assert sorted(tokenizer.decode(answer) for answer in found) == said
    assert all(answer[-1] == end for answer in found)
    assert data.tokenizer is tokenizer


def test_the_mask_is_that_of_transformers_own_generation_marks(load: Load, tmp_path: Path) -> None:
    """The reference: a template that says by itself which part the assistant generates."""
    marked = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}{% generation %}"
        "{{ m.content + '<|im_end|>' }}{% endgeneration %}{% else %}{{ m.content + '<|im_end|>' }}{% endif %}"
        "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    tokenizer = speaking()
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", chats())), form="instruction", packing="none",
                tokenizer=tokenizer, sequence_length=256)  # fmt: skip
    expected = set()
    for row in chats():
        given = tokenizer.apply_chat_template(
            row["messages"], chat_template=marked, return_dict=True, return_assistant_tokens_mask=True
        )
        mask = given["assistant_masks"]
        expected.add((tuple(given["input_ids"]), tuple(np.where(mask, given["input_ids"], -100).tolist())))
    found = set()
    for *_, batch in everything(data):
        for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
            found.add((tuple(ids[mask == 1].tolist()), tuple(labels[mask == 1].tolist())))
    assert found == expected


def test_a_template_of_ones_own_renders_pairs_too_and_is_saved(load: Load, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", pairs())
    data = load(path_data(path, chat_template=CHATML), form="instruction", packing="none", sequence_length=128)
    batch = data.eval.batch(np.array([0]))
    text = bytes(batch["input_ids"][0].tolist()).decode()
    assert text.startswith("<|im_start|>user\nWhat is") and text.endswith("<|im_end|>\n")
    answer = bytes(answers(batch)[0]).decode()
    assert answer.startswith("It is ")
    assert data.tokenizer.chat_template == CHATML and tokenizers.byte().chat_template is None
    plain = load(path_data(path), form="instruction", packing="none", sequence_length=128)
    assert plain.fingerprint != data.fingerprint and plain.tokenizer.chat_template is None


def test_special_tokens_in_a_message_stay_text(load: Load, tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": f"{n} <|endoftext|><|pad|>"},
                          {"role": "assistant", "content": f"<|endoftext|>{n}"}]} for n in range(20)]  # fmt: skip
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", rows)), form="instruction", packing="none",
                sequence_length=256)  # fmt: skip
    for _, found, batch in everything(data):
        assert ((batch["input_ids"] == END).sum(1) == 1).all()
        assert all(bytes(answer[:-1]).startswith(b"<|endoftext|>") for answer in found)


def test_a_base_that_begins_texts_with_a_mark_gets_it(load: Load, tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = tokenizers.byte()
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 258)])
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", pairs())), form="instruction", packing="none",
                tokenizer=tokenizer, sequence_length=64)  # fmt: skip
    ids = data.train.batch(np.arange(3))["input_ids"]
    assert (ids[:, 0] == 258).all() and (ids[:, 1:] != 258).all()


def test_a_long_prompt_loses_its_beginning_and_the_answer_stays(load: Load, tmp_path: Path) -> None:
    rows = [{"prompt": f"{number:03}" + "abcdefghij" * 10, "answer": f"answer {number:03}"} for number in range(20)]
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", rows)), form="instruction", packing="none",
                sequence_length=32)  # fmt: skip
    batch = data.train.batch(np.arange(len(data.train)))
    assert batch["input_ids"].shape[1] == 32 and (batch["attention_mask"] == 1).all()
    for ids, answer in zip(batch["input_ids"], answers(batch), strict=True):
        assert bytes(answer[:-1]).startswith(b"answer ") and answer[-1] == END
        assert bytes(ids[: 32 - len(answer)].tolist()) == (b"abcdefghij" * 10)[-(32 - len(answer)) :]


def test_an_answer_longer_than_a_row_keeps_its_beginning_and_one_token_before_it(load: Load, tmp_path: Path) -> None:
    rows = [{"prompt": f"prompt {number:03}:", "answer": "0123456789" * 10} for number in range(20)]
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", rows)), form="instruction", sequence_length=32)
    batch = data.train.batch(np.arange(len(data.train)))
    assert (batch["input_ids"][:, 0] == ord(":")).all()
    assert all(bytes(answer) == (b"0123456789" * 10)[:31] for answer in answers(batch))


def test_of_a_long_conversation_the_last_answer_stays(load: Load, tmp_path: Path) -> None:
    turns = [{"role": role, "content": f"{role} {n}"} for n in range(12) for role in ("user", "assistant")]
    rows = [{"messages": [{"role": "user", "content": f"start {number}"}, *turns[1:]]} for number in range(20)]
    data = load(path_data(write_rows(tmp_path / "rows.jsonl", rows)), form="instruction", sequence_length=48)
    for answer in answers(data.train.batch(np.arange(len(data.train)))):
        assert bytes(answer[-13:-1]) == b"assistant 11" and answer[-1] == END


def test_the_same_prompt_never_lies_on_two_sides(load: Load, tmp_path: Path) -> None:
    """Also where its answers differ, and where a conversation only begins with it."""
    rows: list[dict[str, Any]] = [{"prompt": f"p{number % 30:02}", "answer": f"a{number}"} for number in range(120)]
    path = path_data(write_rows(tmp_path / "pairs.jsonl", rows), test_fraction=0.2, eval_fraction=0.2)
    sides = []
    for *_, batch in everything(load(path, form="instruction", packing="none", sequence_length=64)):
        sides.append({bytes(ids[:3].tolist()) for ids in batch["input_ids"]})
    train, evaluation, test = sides
    assert len(train | evaluation | test) == 30 and evaluation and test
    assert not train & evaluation and not train & test and not evaluation & test
    users = [row["messages"] for row in chats() if row["messages"][0]["role"] == "user"]
    twice = [{"messages": messages[:2] + more} for messages in users for more in ([], messages[2:])]
    data = load(path_data(write_rows(tmp_path / "chats.jsonl", twice)), form="instruction", packing="none",
                sequence_length=256)  # fmt: skip
    train, evaluation = ({data.tokenizer.decode(ids).split("### assistant")[0] for ids in batch["input_ids"]}
                         for *_, batch in everything(data))  # fmt: skip
    assert evaluation and not train & evaluation


def test_what_changes_the_rows_changes_the_fingerprint_and_a_second_load_opens_nothing(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row | {"better": row["answer"].upper()} for row in pairs()]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    other = write_rows(tmp_path / "other.jsonl", rows[1:])

    def every() -> list[str]:
        return [
            load(path_data(path), form="auto").fingerprint,
            load(path_data(other), form="instruction").fingerprint,
            load(path_data(path), form="prompts").fingerprint,
            load(path_data(path, answer_column="better"), form="instruction").fingerprint,
            load(path_data(path, chat_template=CHATML), form="instruction").fingerprint,
            load(path_data(path, chat_template="{{ bos_token }}" + CHATML), form="instruction").fingerprint,
            load(path_data(path, eval_fraction=0.3), form="instruction").fingerprint,
            load(path_data(path), form="instruction", tokenizer={"name": "bpe", "vocab": 300}).fingerprint,
            load(path_data(path), form="instruction", tokenizer=speaking()).fingerprint,
        ]

    first = every()
    assert len(set(first)) == len(first)

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("opened again")

    monkeypatch.setattr("gpu_jobs.engine.data.sources.open_files", refuse)
    assert every() == first


def test_data_are_loaded_twice_with_one_tokenizer(load: Load, tmp_path: Path) -> None:
    """As for a second data set on which forgetting is measured."""
    first = load(BuiltinData(), tokenizer={"name": "bpe", "vocab": 400})
    second = load(path_data(write_rows(tmp_path / "rows.jsonl", pairs())), form="instruction", packing="none",
                  tokenizer=first.tokenizer, sequence_length=64)  # fmt: skip
    assert second.tokenizer is first.tokenizer and second.vocab_size == first.vocab_size
    found = [answer for _, rows, _ in everything(second) for answer in rows]
    said = sorted(row["answer"] for row in pairs())
    assert sorted(first.tokenizer.decode(answer, skip_special_tokens=True) for answer in found) == said
    assert all(answer[-1] == first.tokenizer.eos_token_id for answer in found)
