"""Rows that can't be used as prompts and answers: one sentence that names the field, the row and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpu_jobs.engine.data import Data
from gpu_jobs.errors import DataError
from gpu_jobs.sources import BuiltinData
from tests.gpu_jobs.data.conftest import path_data, write_rows

Load = Callable[..., Data]
GOOD = {"prompt": "a", "answer": "b"}
USER, REPLY = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}


def refusal(load: Load, source: Any, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(source, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("form", "rows", "words"),
    [
        ("instruction", [{"title": "a", "body": "b"}], "no column 'prompt' or 'instruction' or 'question' for the form "
         "'instruction': set data.prompt_column (or data.messages_column) to one of title, body"),
        ("instruction", [{"prompt": "a", "body": "b"}], "no column 'answer' or 'output' or 'response' or 'completion'"),
        ("preference", [{"prompt": "a", "chosen": "b"}], "set data.rejected_column to one of prompt, chosen"),
        ("prompts", [{"title": "a", "body": "b"}], "set data.prompt_column to one of"),
        ("instruction", [GOOD, {"prompt": "c", "answer": " "}], "'answer' is empty in row 2 of rows.jsonl: fill in"),
        ("instruction", [GOOD, {"prompt": None, "answer": "x"}], "the column 'prompt' is empty in row 2"),
        ("instruction", [{"prompt": "c", "answer": {"a": 1}}], "'answer' holds dict, not text or messages in row 1"),
        ("instruction", [{"messages": "hello"}], "'messages' holds str, not a list in row 1 of rows.jsonl: it must be "
         "a list of messages with role and content; name another as data.messages_column"),
        ("instruction", [{"messages": []}], "the column 'messages' is empty in row 1"),
        ("instruction", [{"messages": [{"from": "a", "value": "b"}]}], "a message without role and content in row 1"),
        ("instruction", [{"messages": [USER]}], "'messages' has no turn of the assistant in row 1"),
        ("instruction", [{"messages": [REPLY]}], "'messages' begins with the assistant in row 1"),
        ("instruction", [{"messages": [USER, {"role": "assistant", "content": ""}]}], "an empty answer of the"),
        ("preference", [{"prompt": "a", "chosen": "b", "rejected": "b"}], "'rejected' equals 'chosen' in row 1"),
        ("preference", [{"chosen": "a", "rejected": "b"}], "set data.prompt_column"),
        ("preference", [{"chosen": [USER, REPLY], "rejected": [USER, REPLY]}], "does not branch off from 'chosen'"),
        ("preference", [{"chosen": [USER, REPLY], "rejected": [REPLY]}], "'rejected' is not like 'chosen' in row 1"),
    ],
)  # fmt: skip
def test_rows_that_can_not_be_used(load: Load, tmp_path: Path, form: str, rows: list[Any], words: str) -> None:
    assert words in refusal(load, path_data(write_rows(tmp_path / "rows.jsonl", rows)), form=form)


def test_a_named_column_that_is_not_there(load: Load, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [GOOD])
    message = refusal(load, path_data(path, answer_column="reply"), form="instruction")
    assert message == "rows.jsonl has no column 'reply': set data.answer_column to one of prompt, answer"


def test_plain_text_and_other_tasks_have_no_prompts(load: Load, prose: Path, tmp_path: Path) -> None:
    assert "holds no instruction: choose data with columns for it (data.prompt_column" in (
        refusal(load, path_data(prose), form="instruction")
    )
    assert "gives text, not preference: choose other data" in refusal(load, BuiltinData(), form="preference")
    assert "gives instruction and preference and prompts, not text" in (
        refusal(load, BuiltinData(name="topic-questions"), form="text")
    )
    path = path_data(write_rows(tmp_path / "rows.jsonl", [GOOD]))
    assert "form 'prompts' is for task 'causal_lm'" in refusal(load, path, task="masked_lm", form="prompts")
    assert "form 'poem' is unknown" in refusal(load, path, form="poem")
    assert "packing 'joined' cuts text anywhere" in refusal(load, path, form="instruction", packing="joined")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ messages | map(attribute='content') | join }} end", "renders the beginning of a conversation otherwise"),
        ("{{ raise_exception('no system prompts') }}", "the chat template fails: no system prompts; correct data.chat"),
        ("{% for m in messages %}", "the chat template fails:"),
        ("{{ 1 / 0 }}", "the chat template fails: division by zero"),
    ],
)
def test_templates_that_do_not_serve(load: Load, tmp_path: Path, template: str, words: str) -> None:
    rows = [{"messages": [USER | {"content": str(number)}, REPLY]} for number in range(5)]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    assert words in refusal(load, path_data(path, chat_template=template), form="instruction")


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ messages.append({}) }}",
    ],
)
def test_a_template_can_not_leave_its_sandbox(load: Load, tmp_path: Path, template: str) -> None:
    """A template comes from whoever wrote the spec or the model: it may read messages and nothing else."""
    rows = [{"messages": [USER | {"content": str(number)}, REPLY]} for number in range(5)]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    message = refusal(load, path_data(path, chat_template=template), form="instruction")
    assert "the chat template fails: access to attribute" in message and "is unsafe" in message


def test_a_failure_leaves_nothing_in_the_cache(load: Load, tmp_path: Path) -> None:
    path = path_data(write_rows(tmp_path / "rows.jsonl", [GOOD, {"prompt": "c", "answer": ""}]))
    refusal(load, path, form="instruction")
    assert not [folder for folder in (tmp_path / "cache" / "data").iterdir() if folder.is_dir()]
