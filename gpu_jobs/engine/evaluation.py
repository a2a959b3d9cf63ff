"""Judges a model on the evaluation split, or on the test split."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch

from gpu_jobs.engine import objective
from gpu_jobs.engine.data import Split, order
from gpu_jobs.engine.job import Job
from gpu_jobs.engine.sampler import Indices
from gpu_jobs.errors import DataError

Side = Literal["eval", "test"]


def evaluate(job: Job, side: Side = "eval") -> dict[str, float]:
    """eval/loss (nats), and eval/perplexity of a language model or eval/accuracy of a classifier; test/... of the test.

    The samples are the same for every step and every seed.
    """
    sums = torch.zeros(3, dtype=torch.float64, device=job.device)
    job.model.eval()
    split = split_of(job, side)
    for indices in chunks(job, side):
        sums += _judge(job, split, indices)
    job.model.train()
    job.ranks.settle(job.model)
    loss, correct, count = job.ranks.sum(sums).tolist()
    if job.spec.resolved_task == "causal_lm":
        return {f"{side}/loss": loss / count, f"{side}/perplexity": _exp(loss / count)}
    return {f"{side}/loss": loss / count, f"{side}/accuracy": correct / count}


def split_of(job: Job, side: Side) -> Split:
    """Raises DataError where there is no test split."""
    split = job.data.test if side == "test" else job.data.eval
    if split is None:
        raise DataError("there is no test split to report on: set data.test_fraction, to 0.1 for example")
    return split


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def chunks(job: Job, side: Side = "eval") -> list[Indices]:
    """The evaluated samples, in pieces of what all ranks hold at once."""
    samples = order(len(split_of(job, side)), 0, 0)
    if job.spec.eval_batches:
        samples = samples[: job.spec.eval_batches * job.spec.batch_size]
    size = job.spec.micro_batch * job.ranks.world
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def _judge(job: Job, split: Split, indices: Indices) -> torch.Tensor:
    """(3,) loss sum, correct and count over this rank's share; a rank without one works along and counts nothing."""
    share: Indices = np.array_split(indices, job.ranks.world)[job.ranks.rank]
    batch = job.to_device(split.batch(share if len(share) else indices[:1]))
    with job.autocast():
        judged = objective.judge(job.model, batch)
    return judged if len(share) else torch.zeros_like(judged)
