"""Prompts, answers and conversations as tokens, and which of these tokens are answers.

A prompt and its answer follow each other: the tokenizer's begin mark if it has one, prompt, answer, end of text.

Messages are rendered by a Jinja template: the one that the data name, else the tokenizer's own, else TEMPLATE.
transformers renders it in Jinja's ImmutableSandboxedEnvironment: a template reads what it is given and no more.
Special tokens that are spelled out in a message stay text. What the assistant says is found by rendering each
conversation up to its turn and up to its end: an answer is the tokens by which the second is longer, up to the mark
that ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_jobs.engine.data.corpus import Messages, Sample
from gpu_jobs.engine.data.samples import as_messages
from gpu_jobs.engine.data.tokenizers import Encoder
from gpu_jobs.errors import DataError

TEMPLATE = (
    "{% for message in messages %}### {{ message['role'] }}\n{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant\n' }}{% endif %}"
)


class Row(NamedTuple):
    """Tokens of a prompt with one answer, or of a conversation, and which of them are answers."""

    ids: NDArray[Any]
    answers: NDArray[np.uint8]  # 1 where a token belongs to an answer


def template_of(tokenizer: Any, given: str | None) -> str:
    """The template that renders messages for this tokenizer, which may be {"name": "byte"} and the like."""
    if given is not None:
        return given
    if not getattr(tokenizer, "chat_template", None):
        return TEMPLATE
    try:
        return str(tokenizer.get_chat_template())
    except ValueError as error:  # several templates, none of them the default
        raise DataError(f"the tokenizer has no default chat template ({error}): set data.chat_template") from error


class Rendering:
    """Turns samples into rows: one for each answer, or one for a prompt alone."""

    def __init__(self, encoder: Encoder, template: str, *, pairs_too: bool) -> None:
        """With `pairs_too`, a prompt and its answer are rendered as messages, too."""
        self._encoder = encoder
        self._tokenizer = encoder.tokenizer
        self._template = template
        self._pairs_too = pairs_too
        self._lead = encoder.lead()
        end = encoder.tokenizer.eos_token_id
        self._end = np.array([] if end is None else [end], encoder.dtype)
        self.has_messages = False  # whether any sample was rendered as messages

    def rows(self, samples: Sequence[Sample]) -> list[list[Row]]:
        """The rows of each sample."""
        texts = [text for sample in samples if not self._is_chat(sample) for text in (sample.prompt, *sample.answers)]
        tokens = iter(self._encoder.plain(texts))  # type: ignore[arg-type]
        return [
            self._chat(sample)
            if self._is_chat(sample)
            else self._plain(next(tokens), [next(tokens) for _ in sample[2]])
            for sample in samples
        ]

    def _is_chat(self, sample: Sample) -> bool:
        return self._pairs_too or not isinstance(sample.prompt, str)

    def _plain(self, prompt: NDArray[Any], answers: list[NDArray[Any]]) -> list[Row]:
        start = np.concatenate([self._lead, prompt])
        if not answers:
            return [Row(start, np.zeros(len(start), np.uint8))]
        return [self._follow(start, np.concatenate([answer, self._end])) for answer in answers]

    def _follow(self, prompt: NDArray[Any], answer: NDArray[Any]) -> Row:
        return Row(np.concatenate([prompt, answer]), np.repeat(np.array([0, 1], np.uint8), [len(prompt), len(answer)]))

    def _chat(self, sample: Sample) -> list[Row]:
        self.has_messages = True
        prompt = as_messages(sample.prompt, "user")
        if not sample.answers:
            ids = self._ids(prompt, is_asking=True)
            return [Row(ids, np.zeros(len(ids), np.uint8))]
        return [self._conversation(prompt, as_messages(answer, "assistant")) for answer in sample.answers]

    def _conversation(self, prompt: Messages, answer: Messages) -> Row:
        messages = prompt + answer
        ids = self._ids(messages)
        answers = np.zeros(len(ids), np.uint8)
        for place in range(len(prompt), len(messages)):
            if messages[place]["role"] == "assistant":
                start = self._reach(ids, messages, place, is_asking=True)
                end = self._reach(ids, messages, place + 1)
                answers[start : self._end_of(ids, start, end)] = 1
        return Row(ids, answers)

    def _reach(self, ids: NDArray[Any], messages: Messages, count: int, *, is_asking: bool = False) -> int:
        """How many of the conversation's tokens its first `count` messages make. Raises DataError where they do not."""
        part = ids if count == len(messages) and not is_asking else self._ids(messages[:count], is_asking=is_asking)
        shared = min(len(ids), len(part))
        differs = np.flatnonzero(ids[:shared] != part[:shared])
        reached = int(differs[0]) if len(differs) else shared
        if reached < len(part) and not self._text(messages).startswith(self._text(messages[:count], is_asking)):
            raise DataError(
                "the chat template renders the beginning of a conversation otherwise when more follows, so that the "
                "answers can't be found: set data.chat_template to one that only appends"
            )
        return reached

    def _end_of(self, ids: NDArray[Any], start: int, end: int) -> int:
        """Without the white space that templates put behind the mark that ends a turn."""
        marks = np.flatnonzero(np.isin(ids[start:end], self._tokenizer.all_special_ids))
        if len(marks) and not str(self._tokenizer.decode(ids[start + marks[-1] + 1 : end].tolist())).strip():
            return start + int(marks[-1]) + 1
        return end

    def _ids(self, messages: Messages, *, is_asking: bool = False) -> NDArray[Any]:
        options = {"tokenize": True, "return_dict": False, "sanitize_control_tokens": True}
        return np.array(self._apply(messages, is_asking, **options), self._encoder.dtype)

    def _text(self, messages: Messages, is_asking: bool = False) -> str:
        return str(self._apply(messages, is_asking, tokenize=False))

    def _apply(self, messages: Messages, is_asking: bool, **options: Any) -> Any:
        from jinja2 import TemplateError

        try:
            return self._tokenizer.apply_chat_template(
                messages, chat_template=self._template, add_generation_prompt=is_asking, **options
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise DataError(f"the chat template fails: {reason}; correct data.chat_template or the messages") from error
