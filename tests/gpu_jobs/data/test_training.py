"""A real run on each form that the loop takes: it learns, and judges what it should."""

from __future__ import annotations

from math import log
from typing import Any

import pytest

from tests.gpu_jobs.training import Bench

NANO = {"source": "builtin", "name": "nano"}
QUESTIONS = {"source": "builtin", "name": "topic-questions"}
PACKAGES = {"source": "builtin", "name": "stdlib-packages"}


@pytest.mark.parametrize(
    ("changes", "chance"),
    [
        ({"data": QUESTIONS, "sequence_length": 512}, log(258)),
        ({"data": QUESTIONS, "sequence_length": 512, "packing": "none"}, log(258)),
        ({"packing": "isolated", "sequence_length": 64}, log(258)),
        ({"packing": "none", "sequence_length": 64}, log(258)),
        ({"data": PACKAGES, "sequence_length": 64}, log(8) * 1.05),  # a few steps only begin to tell eight apart
    ],
)
def test_a_model_learns_from_it(bench: Bench, changes: dict[str, Any], chance: float) -> None:
    outcome = bench.run({"model": NANO, "steps": 12, "eval_every": 0, "eval_batches": 4, **changes})
    assert outcome.last.values["quality"]["eval/loss"] < chance
    assert outcome.facts["data"]["samples"]["train"] > 0


def test_the_tokenizer_of_a_model_that_was_taught_to_talk_is_saved_with_the_run(bench: Bench) -> None:
    from transformers import AutoTokenizer

    template = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
    data = QUESTIONS | {"chat_template": template}
    outcome = bench.run({"model": NANO, "data": data, "sequence_length": 512, "steps": 1})
    tokenizer = AutoTokenizer.from_pretrained(outcome.work_dir / "model")
    said = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert said == "user: hi\n"
