"""Answers that a model writes for samples of the evaluation split: kept for people, compared for the record."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gpu_jobs.engine import data
from gpu_jobs.engine.data import order
from gpu_jobs.engine.generation import Sampling, write
from gpu_jobs.engine.judged import Judged
from gpu_jobs.engine.objective import Batch
from gpu_jobs.events import Artifact, Event, Log, Metrics

FILE = "samples.jsonl"


class Sample(NamedTuple):
    prompt: str
    answer: str
    reference: str

    @property
    def is_exact(self) -> bool:
        """Whether the answer is the reference, spaces around it aside."""
        return self.answer.strip() == self.reference.strip()

    @property
    def f1(self) -> float:
        """Of the words that answer and reference have in common."""
        return word_f1(self.answer.split(), self.reference.split())


def word_f1(words: list[str], wanted: list[str]) -> float:
    """2 x common / all, words counted as often as they occur; 0 where there is none in common."""
    common = sum(min(words.count(word), wanted.count(word)) for word in set(wanted))
    return 2 * common / (len(words) + len(wanted)) if common else 0.0


def write_samples(job: Judged, step: int) -> Generator[Event, None, dict[str, float]]:
    """Greedy answers for the first `generate` samples: a file of them, eval/exact_match and eval/word_f1.

    Returns these, {} where none were asked for, and on all ranks but the main one.
    """
    if not job.spec.generate or job.spec.resolved_task != "causal_lm" or not job.ranks.is_main:
        return {}
    found = list(_samples(job))
    rows = ({**sample._asdict(), "exact": sample.is_exact, "f1": sample.f1} for sample in found)
    (job.context.work_dir / FILE).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    yield Artifact(path=FILE, kind="file", step=step)
    yield Metrics(step=step, values=quality(found))
    yield Log(message=f"Wrote {len(found)} answers: {FILE}.")
    return quality(found)


def quality(samples: list[Sample]) -> dict[str, float]:
    """Shares over all samples."""
    return {
        "eval/exact_match": sum(sample.is_exact for sample in samples) / len(samples),
        "eval/word_f1": sum(sample.f1 for sample in samples) / len(samples),
    }


def _samples(job: Judged) -> Iterator[Sample]:
    tokenizer, sampling = job.data.tokenizer, Sampling(job.spec.generate_tokens)
    for prompts in _prompts(job):
        batch = job.to_device(prompts)
        written = write(job.bare, tokenizer, batch, sampling).texts(tokenizer)
        asked = [_text(tokenizer, ids[mask.bool()]) for ids, mask in zip(*_prompt(prompts), strict=True)]
        wanted = [_text(tokenizer, ids[ids >= 0]) for ids in prompts["answer_ids"]]
        yield from map(Sample, asked, written, wanted)


def _prompt(batch: Batch) -> tuple[Tensor, Tensor]:
    return batch["input_ids"], batch["attention_mask"]


def _text(tokenizer: Any, ids: Tensor) -> str:
    return str(tokenizer.decode(ids.tolist(), skip_special_tokens=True))


def _prompts(job: Judged) -> Iterator[Batch]:
    """Batches of prompts: those of the data, or the first halves of texts, whose second halves are the references."""
    forms = job.spec.data.forms()
    split = _prompt_split(job) if forms is None or "prompts" in forms else job.data.eval
    count = min(job.spec.generate, len(split))
    samples = order(len(split), 0, 0)[:count]
    size = max(1, job.spec.batch_size)
    for start in range(0, count, size):
        batch = split.batch(samples[start : start + size])
        yield batch if "answer_ids" in batch else _halves(batch)


def _prompt_split(job: Judged) -> Any:
    from gpu_jobs.errors import DataError

    spec = job.spec
    try:
        return data.load(
            spec.data, task=spec.resolved_task, tokenizer=job.data.tokenizer, sequence_length=spec.sequence_length,
            context=job.context, seed=spec.seed, form="prompts",
        ).eval  # fmt: skip
    except DataError:
        if spec.data.forms() is not None:
            raise
        return job.data.eval  # a table of plain text


def _halves(batch: Batch) -> Batch:
    ids = batch["input_ids"]
    half = max(1, ids.shape[1] // 2)
    prompt = ids[:, :half]
    return {"input_ids": prompt, "attention_mask": torch.ones_like(prompt), "answer_ids": ids[:, half:]}
