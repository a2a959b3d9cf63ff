"""Makes a trained model smaller, in rounds: change it, train what is left; then save it, read it back and judge that.

dense     load, judge
change    calibrate, score, prune or compress; judge                    once for each round
learn     a training that says what goes; judge                         in the place of a change
retrain   the training loop on what is left, an adapter merged after    once for each round
save      the file, read back: quality, sparsity, bytes, latency are those of the file
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gpu_jobs.context import Context
from gpu_jobs.contracts import Hooks
from gpu_jobs.engine import device as devices
from gpu_jobs.engine import provenance
from gpu_jobs.engine.shrinking import measuring, resuming, retraining
from gpu_jobs.engine.shrinking.change import Change
from gpu_jobs.engine.shrinking.saving import enforce, save
from gpu_jobs.engine.shrinking.subject import Subject, prepare
from gpu_jobs.events import Artifact, Event, Log, Metrics, Phase, Result, Started
from gpu_jobs.kinds import finetune
from gpu_jobs.shrinking import Shrinking

__all__ = ["Change", "Round", "Subject", "shrink"]


@dataclass(frozen=True)
class Round:
    """`change` makes the subject's model smaller. `around` puts more on the hooks of the training that follows.

    `learned` takes what such hooks have found when the training is over: that is the change, then, and not a recovery.
    `enforce`, of the last round, does again what a merged adapter has undone, and says what that cost (None where
    nothing was undone).
    """

    change: Callable[[Subject, Change], Generator[Event, None, Change]] | None
    training: finetune.Spec | None = None
    around: Callable[[Subject, Change, Hooks], Hooks] | None = None
    learned: Callable[[Subject, Change, Hooks], Change] | None = None
    enforce: Callable[[Subject, Change], dict[str, Any] | None] = enforce


def shrink(spec: Shrinking, context: Context, rounds: Sequence[Round]) -> Iterator[Event]:
    """All rounds, from the first or from the context's checkpoint. Raises JobError."""
    memory, begun = devices.PeakMemory(devices.pick()), time.perf_counter()
    subject = prepare(spec, context)
    steps = sum(each.training.steps for each in rounds if each.training)
    state = resuming.read(subject) if context.resume_from else resuming.State()
    yield Started(step=state.done, steps=steps or None, facts=subject.facts(), provenance=provenance.collect(spec.seed))
    yield Phase(name="dense", step=state.done, peak_memory_bytes=memory.end("load"))
    if not context.resume_from:
        yield from _judge_dense(subject, state)
    for number, each in enumerate(rounds[state.round :], state.round):
        stopped = yield from _round(subject, each, state, memory)
        if stopped:
            return
        state.begin(number + 1, each.training.steps if each.training else 0)
    drop = rounds[-1].enforce(subject, state.change)
    is_retrained = any(each.training and not each.learned for each in rounds)
    yield from _finish(subject, state, drop, memory, begun, is_retrained=is_retrained)


def _judge_dense(subject: Subject, state: resuming.State) -> Iterator[Event]:
    state.quality["dense"] = subject.judge()  # before it is timed: a first forward is slow
    state.dense = measuring.dense(subject)
    yield Metrics(step=0, values={f"dense/{name}": value for name, value in state.quality["dense"].items()})
    yield Log(message=f"Before: {told(state.quality['dense'])}.")


def _round(
    subject: Subject, each: Round, state: resuming.State, memory: devices.PeakMemory
) -> Generator[Event, None, bool]:
    """One round. Returns whether it was asked to stop."""
    if each.change and not state.is_changed:
        yield Phase(name="change", step=state.offset, peak_memory_bytes=memory.end("dense"))
        state.change = yield from each.change(subject, state.change)
        yield from _judge_changed(subject, state, state.offset)
        memory.end("change")
    if each.training is None:
        return False
    name = "learn" if each.learned else "retrain"
    before = memory.end("dense") if each.learned and not state.is_changed else None
    yield Phase(name=name, step=state.done, peak_memory_bytes=before)
    hooks = yield from retraining.train(subject, each.training, each.around, state)
    if hooks is None:
        return True
    memory.end(name)
    if each.learned:
        state.change = each.learned(subject, state.change, hooks)
        yield from _judge_changed(subject, state, state.offset + each.training.steps)
    return False


def _judge_changed(subject: Subject, state: resuming.State, step: int) -> Iterator[Event]:
    state.quality["pruned"] = subject.judge()
    yield Metrics(step=step, values={f"pruned/{name}": value for name, value in state.quality["pruned"].items()})
    yield Log(message=f"{state.change.summary()} {told(state.quality['pruned'])}.")


def _finish(
    subject: Subject,
    state: resuming.State,
    drop: dict[str, Any] | None,
    memory: devices.PeakMemory,
    begun: float,
    *,
    is_retrained: bool,
) -> Iterator[Event]:
    """Saves, reads back, judges and measures."""
    yield Phase(name="save", step=state.offset)
    save(subject, state.change)
    yield Artifact(path="model", kind="model", step=state.offset)
    if state.change.masks:
        yield Artifact(path="masks.safetensors", step=state.offset)
    quality = subject.judge()
    values, measured = measuring.final(subject, state.change, state.dense)
    yield Metrics(step=state.offset, values=quality | measured)
    yield Log(message=f"The file, read back: {told(quality)}.")
    memory.end("save")
    qualities = (
        {**state.quality, "recovered": quality}
        if is_retrained
        else {**state.quality, "pruned": quality, "recovered": None}
    )
    peak = {"peak_bytes": max(memory.phases.values()), "phases": memory.phases, **devices.describe(subject.device)}
    yield Result(values={
        "quality": qualities, **values, "memory": peak, "drop": drop, "model": "model",
        "masks": "masks.safetensors" if state.change.masks else None,
        "wall_time_s": state.seconds + time.perf_counter() - begun,
    })  # fmt: skip


def told(quality: dict[str, float]) -> str:
    """For the log."""
    return ", ".join(f"{name} {value:.4g}" for name, value in quality.items())
