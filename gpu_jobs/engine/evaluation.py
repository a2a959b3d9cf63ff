"""Judges a model on the evaluation split, or on the test split."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gpu_jobs.engine.data import Split, order
from gpu_jobs.engine.judged import Judged
from gpu_jobs.engine.sampler import Indices
from gpu_jobs.errors import DataError

Side = Literal["eval", "test", "retention"]


def evaluate(job: Judged, side: Side = "eval") -> dict[str, float]:
    """eval/loss (nats), and eval/perplexity of a language model or eval/accuracy and eval/f1 (macro) of a classifier,
    and what the objective measures beside; test/... of the test split, retention/... of the second data set.

    The samples are the same for every step and every seed.
    """
    sums: dict[str, Tensor] = {}
    was = job.model.training
    job.model.eval()
    split = split_of(job, side)
    for indices in chunks(job, side):
        for name, value in _judge(job, split, indices).items():
            sums[name] = sums[name] + value if name in sums else value
    job.model.train(was)
    job.ranks.settle(job.model)
    sums = {name: job.ranks.sum(value) for name, value in sums.items()}
    confusion = sums.pop("confusion", None)
    found = _means(job.objective.score, {name: float(value) for name, value in sums.items()})
    if confusion is not None:
        found["f1"] = macro_f1(confusion)
    return {f"{side}/{name}": value for name, value in found.items()}


def macro_f1(confusion: Tensor) -> float:
    """The mean F1 over the classes that occur, as target or as prediction; (classes, classes), targets in the rows."""
    hits, seen = confusion.diagonal(), confusion.sum(0) + confusion.sum(1)
    there = seen > 0
    return float((2 * hits[there] / seen[there]).mean())


def _means(score: str, sums: dict[str, float]) -> dict[str, float]:
    """From sums to loss, perplexity or accuracy, and means of what the objective has measured."""
    loss, correct, count, samples = (sums.pop(name, 0.0) for name in ("loss", "correct", "count", "samples"))
    judged: dict[str, float] = {}
    if count:
        value = _exp(loss / count) if score == "perplexity" else correct / count
        judged = {"loss": loss / count, score: value}
    return judged | {name: value / samples for name, value in sums.items()}


def split_of(job: Judged, side: Side) -> Split:
    """Raises DataError where there is no test split."""
    source = job.retention if side == "retention" else job.data
    assert source is not None
    split: Split | None = source.test if side == "test" else source.eval
    if split is None:
        raise DataError("there is no test split to report on: set data.test_fraction, to 0.1 for example")
    return split


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def chunks(job: Judged, side: Side = "eval") -> list[Indices]:
    """The evaluated samples, in pieces of what all ranks hold at once."""
    samples = order(len(split_of(job, side)), 0, 0)
    if job.spec.eval_batches:
        samples = samples[: job.spec.eval_batches * job.spec.batch_size]
    size = getattr(job.spec, "micro_batch", job.spec.batch_size) * job.ranks.world
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def _judge(job: Judged, split: Split, indices: Indices) -> dict[str, Tensor]:
    """Sums over this rank's share; a rank without one works along and counts nothing."""
    share: Indices = np.array_split(indices, job.ranks.world)[job.ranks.rank]
    prepared = job.objective.prepare(split.batch(share if len(share) else indices[:1]), training=False)
    batch = job.to_device(prepared)
    with torch.no_grad(), job.autocast():
        judged = job.objective.judge(job.model, batch) | job.objective.measure(job.model, batch)
    judged["samples"] = torch.tensor(float(len(share)), dtype=torch.float64, device=job.device)
    return judged if len(share) else {name: torch.zeros_like(value) for name, value in judged.items()}
