"""Judges a model on the evaluation split."""

from __future__ import annotations

import math

import numpy as np
import torch

from gpu_jobs.engine import objective
from gpu_jobs.engine.data import order
from gpu_jobs.engine.job import Job
from gpu_jobs.engine.sampler import Indices


def evaluate(job: Job) -> dict[str, float]:
    """eval/loss (nats), and eval/perplexity of a language model or eval/accuracy of a classifier.

    The samples are the same for every step and every seed.
    """
    sums = torch.zeros(3, dtype=torch.float64, device=job.device)
    job.model.eval()
    for indices in chunks(job):
        sums += _judge(job, indices)
    job.model.train()
    job.ranks.settle(job.model)
    loss, correct, count = job.ranks.sum(sums).tolist()
    if job.spec.resolved_task == "causal_lm":
        return {"eval/loss": loss / count, "eval/perplexity": _exp(loss / count)}
    return {"eval/loss": loss / count, "eval/accuracy": correct / count}


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def chunks(job: Job) -> list[Indices]:
    """The evaluated samples, in pieces of what all ranks hold at once."""
    samples = order(len(job.data.eval), 0, 0)
    if job.spec.eval_batches:
        samples = samples[: job.spec.eval_batches * job.spec.batch_size]
    size = job.spec.micro_batch * job.ranks.world
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def _judge(job: Job, indices: Indices) -> torch.Tensor:
    """(3,) loss sum, correct and count over this rank's share; a rank without one works along and counts nothing."""
    share: Indices = np.array_split(indices, job.ranks.world)[job.ranks.rank]
    batch = job.to_device(job.data.eval.batch(share if len(share) else indices[:1]))
    with job.autocast():
        judged = objective.judge(job.model, batch)
    return judged if len(share) else torch.zeros_like(judged)
