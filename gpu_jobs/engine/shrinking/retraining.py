"""Training what is left by the one loop, with what went kept away."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gpu_jobs.contracts import Hooks, Step
from gpu_jobs.engine import adapters, loop, optim
from gpu_jobs.engine.job import Job, prepare
from gpu_jobs.engine.monitor import Monitor
from gpu_jobs.engine.ranks import ALONE
from gpu_jobs.engine.shrinking import resuming
from gpu_jobs.engine.shrinking.change import Change
from gpu_jobs.engine.shrinking.subject import Subject
from gpu_jobs.engine.telemetry import Telemetry
from gpu_jobs.events import Checkpoint, Event, Histograms, Log, Metrics, Phase, Stopped
from gpu_jobs.kinds import finetune

Around = Callable[[Subject, Change, Hooks], Hooks]


class Masked:
    """A method's hooks with weights kept at zero: whatever the update did, they are so again after each step."""

    def __init__(self, inner: Hooks, masks: dict[str, Tensor]) -> None:
        self._inner, self._masks = inner, masks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def after_step(self, step: Step) -> None:
        """The weights are new, and masked."""
        self._inner.after_step(step)
        apply(self._inner.model, self._masks)


@torch.no_grad()
def apply(model: Any, masks: dict[str, Tensor]) -> None:
    """Zeroes what the masks say of the weights that are trained themselves."""
    from transformers.pytorch_utils import Conv1D

    for name, layer in model.named_modules():
        mask = masks.get(name)
        weight = getattr(layer, "weight", None)
        if mask is not None and weight is not None and weight.requires_grad:
            mask = masks[name] = mask.to(weight.device)
            weight.mul_(mask.T if isinstance(layer, Conv1D) else mask.view(weight.shape))


def masked(subject: Subject, change: Change, hooks: Hooks) -> Hooks:
    """Keeps the zeros of the change."""
    return Masked(hooks, dict(change.masks)) if change.masks else hooks  # type: ignore[return-value]


def train(
    subject: Subject, spec: finetune.Spec, around: Around | None, state: resuming.State
) -> Generator[Event, None, Hooks | None]:
    """Trains the subject's model, and merges an adapter into it. Returns None when it was asked to stop."""
    resume_from = subject.context.resume_from if state.at else None
    state.is_changed = True
    resuming.keep(subject, state)
    wrap = around or masked
    job = prepare(
        spec, replace(subject.context, resume_from=resume_from), ALONE,
        model=subject.bare, wrap=lambda hooks: wrap(subject, state.change, hooks),
    )  # fmt: skip
    job.offset = state.offset  # of two rounds' checkpoints the later has the higher number: the older go first
    state.change.facts["trained"] = job.facts["parameters"]["trainable"]
    yield Log(message=loop.opening(job))
    with Monitor(loop.MONITOR_INTERVAL_S) as monitor:
        stopped = yield from _shifted(subject, loop.steps(job, Telemetry(job.device), monitor), job, state)
    if stopped:
        return None
    job.hooks.finish()
    subject.bare = plain(job)
    return job.hooks


def plain(job: Job) -> Any:
    """The trained model without anything on it, frozen."""
    model = adapters.merge(job.bare) if optim.is_adapter(job.spec) else job.bare
    model.zero_grad(set_to_none=True)
    return model.requires_grad_(False).eval()


def _shifted(
    subject: Subject, events: Generator[Event, None, bool], job: Job, state: resuming.State
) -> Generator[Event, None, bool]:
    """The loop's events, counted from the first round's first step; its checkpoints made complete."""
    begun = time.perf_counter()
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            return bool(end.value)
        if isinstance(event, Checkpoint):
            folder = subject.context.work_dir / event.folder
            resuming.add(subject, state, folder, state.seconds + time.perf_counter() - begun)
        if isinstance(event, Checkpoint | Metrics | Histograms | Phase | Stopped):
            event = replace(event, step=event.step + state.offset)
        yield event
