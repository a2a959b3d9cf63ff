"""Questions on the topics of Python's language reference, made from text that every machine has.

Each topic is asked for in the ways of ASKED; the answer is the beginning of its text. The worse answer of a preference
is that of another topic out of the same few. These few lie on one side of a division, so that neither the answers
nor the worse answers of evaluation are ever trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from gpu_jobs.engine.data.corpus import Corpus, Sample
from gpu_jobs.sources import Form

ASKED = (
    "What does Python's reference say about {title}?\n",
    "Explain {title} in Python.\n",
    "How does Python define {title}?\n",
    "Tell me about {title}.\n",
    "Help on {title}:\n",
)
LONGEST = 400  # characters of an answer: with its question it fits into 512 bytes
TOGETHER = 4  # topics whose answers serve as worse answers of each other


class Topic(NamedTuple):
    """What is asked for, and the answer."""

    title: str
    answer: str


class Questions:
    """Every topic, asked for in every way."""

    def __init__(self, found: list[Topic]) -> None:
        self._topics = found

    def form(self) -> Form:
        return "instruction"

    def read(self, form: Form) -> Iterator[Sample]:
        """A topic that is alone in its group has no worse answer, and is left out of preferences."""
        for start in range(0, len(self._topics), TOGETHER):
            group = self._topics[start : start + TOGETHER]
            for place, topic in enumerate(group):
                others = group[place + 1 :] + group[:place]
                for way, asked in enumerate(ASKED):
                    prompt = asked.format(title=topic.title)
                    if form != "preference":
                        yield Sample(group[0].title, prompt, (topic.answer,))
                    elif others:
                        yield Sample(group[0].title, prompt, (topic.answer, others[way % len(others)].answer))


def topic_questions() -> Corpus:
    """All topics, as instructions, as preferences or as prompts."""
    found = topics()
    digest = hashlib.sha256(repr([ASKED, TOGETHER, found]).encode()).hexdigest()
    return Corpus("topic-questions", digest, _no_texts, samples=Questions(found))


def _no_texts() -> Iterator[str]:
    return iter(())


def topics() -> list[Topic]:
    """In the alphabetical order of their names; of topics with the same title or answer the first."""
    from pydoc_data.topics import topics as texts

    found: dict[str, Topic] = {}
    for name in sorted(texts):
        title, _, body = texts[name].strip().partition("\n")
        answer = beginning(body)
        if answer and title not in {topic.title for topic in found.values()}:
            found.setdefault(answer, Topic(title, answer))
    return list(found.values())


def beginning(text: str) -> str:
    """Whole paragraphs of at most LONGEST characters; of a longer first one its whole sentences, else words."""
    paragraphs = [part.strip("\n") for part in text.split("\n\n") if part.strip() and not _is_heading(part)]
    answer = paragraphs[0] if paragraphs else ""
    for paragraph in paragraphs[1:]:
        if len(answer) + 2 + len(paragraph) > LONGEST:
            break
        answer += "\n\n" + paragraph
    if len(answer) <= LONGEST:
        return answer
    end = max(answer.rfind(". ", 0, LONGEST), answer.rfind(".\n", 0, LONGEST)) + 1
    return answer[:end] if end else answer[:LONGEST].rsplit(None, 1)[0]


def _is_heading(paragraph: str) -> bool:
    return set(paragraph.strip().rpartition("\n")[2]) <= set("*=-~")
