"""The training loop, read from top to bottom. Both kinds that train run it, on one process or on many."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from gpu_jobs.context import Context
from gpu_jobs.contracts import Step
from gpu_jobs.engine import device as devices
from gpu_jobs.engine import export, histograms, objective, optim, samples
from gpu_jobs.engine.evaluation import Side, evaluate
from gpu_jobs.engine.job import Job, prepare
from gpu_jobs.engine.monitor import Monitor
from gpu_jobs.engine.ranks import ALONE, Ranks
from gpu_jobs.engine.telemetry import Reading, Telemetry
from gpu_jobs.errors import Diverged
from gpu_jobs.events import Artifact, Checkpoint, Event, Log, Metrics, Phase, Result, Stopped
from gpu_jobs.spec import Training

MONITOR_INTERVAL_S = 5.0


def train(spec: Training, context: Context, ranks: Ranks = ALONE) -> Iterator[Event]:
    """Trains from step 0 or the context's checkpoint to the last step, or to the step at which it is asked to stop.

    Raises JobError, and what torch raises when memory runs out.
    """
    memory, begun = devices.PeakMemory(devices.pick(ranks.rank)), time.perf_counter()
    job = prepare(spec, context, ranks)
    job.begun, telemetry = begun, Telemetry(job.device)
    yield job.started()
    yield Log(message=opening(job))
    yield from _begin(job)
    yield Phase(name="train", step=job.progress.step, peak_memory_bytes=memory.end("load"))
    with Monitor(MONITOR_INTERVAL_S) as monitor:
        stopped = yield from steps(job, telemetry, monitor)
    if stopped:
        return
    job.hooks.finish()
    yield Phase(name="evaluate", step=spec.steps, peak_memory_bytes=memory.end("train"))
    quality = yield from _evaluate(job)
    if spec.report_test:
        quality |= yield from _evaluate(job, "test")
    quality |= yield from samples.write_samples(job, spec.steps)
    yield Phase(name="save", step=spec.steps, peak_memory_bytes=memory.end("evaluate"))
    yield from _finish(job, memory, quality, telemetry.speed(spec.batch_size))


def _begin(job: Job) -> Iterator[Event]:
    """Judges the base before the first step, where that is asked for. Leaves every random generator as it was."""
    if not job.spec.eval_before or job.progress.step:
        return
    as_base = optim.base_of(job.spec, job.bare)
    if as_base is None:
        yield Log(message=f"Method {job.spec.method.name!r} changes the model as it begins: the base is not judged.")
        return
    with as_base:
        job.before = _quality(job) | (_quality(job, "test") if job.spec.report_test else {})
    yield Log(message=f"Before the first step: {_measured(job.before)}.")


def steps(job: Job, telemetry: Telemetry, monitor: Monitor) -> Generator[Event, None, bool]:
    """All updates that are left, with their evaluations and checkpoints. Returns whether it was asked to stop."""
    spec, should_stop = job.spec, False
    telemetry.restart()
    for step in range(job.progress.step, spec.steps):
        if should_stop or (job.ranks.world == 1 and job.context.should_stop()):
            yield from _readings(job, telemetry, monitor, everything=True)
            yield from _stop(job)
            return True

        rate = optim.set_rate(spec, job.optimizer, step, job.full_tokens(step))
        values = update(job, step, rate)
        routers: dict[str, Tensor] = getattr(job.bare, "readings", dict)()
        telemetry.push(step + 1, rate, values, job.hooks.readings() | job.objective.readings() | routers)
        should_stop = yield from _readings(job, telemetry, monitor)

        done, is_last = step + 1, step + 1 == spec.steps
        pauses = (spec.eval_every, spec.checkpoint_every, spec.histograms_every)
        if is_last or any(_is_due(done, every) for every in pauses):
            yield from _readings(job, telemetry, monitor, everything=True)
            if _is_due(done, spec.histograms_every) and job.ranks.is_main:
                yield histograms.event(job, done, job.gradients)
            if _is_due(done, spec.eval_every) and not is_last:
                yield from _evaluate(job)
            if _is_kept(spec, done):
                yield _checkpoint(job)
            telemetry.restart()
    return False


def update(job: Job, number: int, rate: float = 0.0) -> Tensor:
    """One update of the weights. Returns float32 (4,): loss, gradient norm, tokens, ranks that were asked to stop."""
    parts = job.batches(job.sampler.indices(number), job.spec.accumulation)
    mine = [[job.objective.count(part), objective.token_count(part, job.facts["tokens_per_sample"])] for part in parts]
    stop = job.ranks.world > 1 and job.context.should_stop()
    counted = torch.tensor([*map(sum, zip(*mine, strict=True)), stop], dtype=torch.float32)
    targets, tokens, stops = job.ranks.sum(job.to_device({"": counted})[""])
    step = Step(number, rate, lambda: _backward(job, parts, targets), lambda: _forward(job, parts, targets))
    job.hooks.before_step(step)
    loss = job.hooks.gradients(step)
    if _is_due(number + 1, job.spec.histograms_every) and job.ranks.is_main:
        job.gradients = histograms.gradients(job)
    norm = job.hooks.update(step)
    job.hooks.after_step(step)
    return torch.stack([loss, torch.full_like(loss, math.nan) if norm is None else norm, tokens, stops])


def _backward(job: Job, parts: list[objective.Batch], targets: Tensor) -> Tensor:
    """Adds the gradients of the mean loss over all ranks' targets, and returns it."""
    loss = torch.zeros((), device=job.device)
    for number, part in enumerate(parts):
        with job.ranks.accumulate(job.model, is_last=number == len(parts) - 1):
            with job.autocast():
                part_loss = job.loss_sum(job.model, job.to_device(part)) / targets
            (part_loss * job.ranks.world).backward()  # the ranks' gradients are averaged
        loss += part_loss.detach()
    return job.ranks.sum(loss)


@torch.no_grad()
def _forward(job: Job, parts: list[objective.Batch], targets: Tensor) -> Tensor:
    """The mean loss over all ranks' targets, without dropout."""
    job.model.eval()
    loss = torch.zeros((), device=job.device)
    for part in parts:
        with job.autocast():
            loss += job.loss_sum(job.model, job.to_device(part)) / targets
    job.model.train()
    job.ranks.settle(job.model)
    return job.ranks.sum(loss)


def clip(job: Job, parameters: Iterable[Tensor] | None = None) -> Tensor:
    """Shortens the gradient to clip_norm when it is longer; returns its length before that, a scalar.

    It is the gradient of what is optimized, or of these parameters.
    """
    if parameters is None:
        parameters = [p for group in job.optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = torch.nn.utils.clip_grad_norm_(parameters, job.spec.clip_norm or math.inf)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


def _readings(
    job: Job, telemetry: Telemetry, monitor: Monitor, *, everything: bool = False
) -> Generator[Event, None, bool]:
    """The metrics of the steps that are read. Returns whether a rank was asked to stop. Raises Diverged."""
    should_stop = False
    for reading in telemetry.pop(everything=everything):
        job.progress.step = reading.step
        job.progress.tokens += reading.tokens
        yield Metrics(step=reading.step, values=_values(job, reading) | reading.more | monitor.drain())
        should_stop |= reading.should_stop
        if not math.isfinite(reading.loss):
            raise Diverged(_divergence(job, reading))
    return should_stop


def _values(job: Job, reading: Reading) -> dict[str, float]:
    """A method without gradients has no gradient norm."""
    norm = (
        {} if math.isnan(reading.grad_norm) and math.isfinite(reading.loss) else {"train/grad_norm": reading.grad_norm}
    )
    return {
        "train/loss": reading.loss,
        "train/lr": reading.rate,
        **norm,
        "train/tokens": job.progress.tokens,
        "train/tokens_per_second": reading.tokens / reading.interval_s,
    }


def _divergence(job: Job, reading: Reading) -> str:
    clipping = "" if job.spec.clip_norm else ", set clip_norm to 1"
    return (
        f"The loss is {reading.loss} at step {reading.step}: lower optimizer.lr (now {reading.rate:g} at this step), "
        f"lengthen schedule.warmup_steps{clipping}, or use precision fp32."
    )


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _is_kept(spec: Training, done: int) -> bool:
    """Whether a checkpoint is written after this step. The end needs none, unless another run is to go on from it."""
    return spec.checkpoint_at_end if done == spec.steps else _is_due(done, spec.checkpoint_every)


def _evaluate(job: Job, side: Side = "eval") -> Generator[Event, None, dict[str, float]]:
    """Says how good the model is. Returns it, too."""
    quality = _quality(job, side)
    yield Metrics(step=job.progress.step, values=quality)
    yield Log(message=f"Step {job.progress.step} of {job.spec.steps}: {_measured(quality)}.")
    return quality


def _quality(job: Job, side: Side = "eval") -> dict[str, float]:
    """On the evaluation split and, where there is one, on the second data set; or on the test split."""
    quality = evaluate(job, side)
    return quality | (evaluate(job, "retention") if side == "eval" and job.retention else {})


def _measured(quality: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in quality.items())


def _checkpoint(job: Job) -> Checkpoint:
    folder = job.save_checkpoint()
    return Checkpoint(folder=str(folder.relative_to(job.context.work_dir)), step=job.progress.step)


def _stop(job: Job) -> Iterator[Event]:
    yield _checkpoint(job)
    yield Log(message=f"Stopped at step {job.progress.step} of {job.spec.steps}; the checkpoint is written.")
    yield Stopped(step=job.progress.step)


def opening(job: Job) -> str:
    """What is trained on what, for the log."""
    parameters, samples = job.facts["parameters"], job.facts["data"]["samples"]
    start = f"from step {job.progress.step}" if job.progress.step else "from the start"
    return (
        f"{job.facts['model']['architecture']} with {parameters['total']:,} parameters, {parameters['trainable']:,} of "
        f"them trained, on {job.data.name} ({samples['train']:,} samples), {job.facts['precision']} on "
        f"{devices.describe(job.device)['device']}, {start}."
    )


def _finish(
    job: Job, memory: devices.PeakMemory, quality: dict[str, float], speed: dict[str, float]
) -> Iterator[Event]:
    """Saves the model and says what came out."""
    is_shared = job.spec.gpus > 1 and job.spec.parallel == "fsdp"
    weights = export.gather(job.bare) if is_shared else None
    if job.ranks.is_main:
        folder = export.save(job.spec, job.bare, weights, job.data.tokenizer, job.context.work_dir)
        yield Artifact(path="model", kind="model", step=job.spec.steps)
        memory.end("save")
        measured = {"quality": quality, "speed": speed, "stored_bytes": export.stored_bytes(folder)}
        yield Result(values=measured | _result(job, memory))
    job.ranks.barrier()


def _result(job: Job, memory: devices.PeakMemory) -> dict[str, Any]:
    return {
        "parameters": job.facts["parameters"],
        "before": job.before,
        "memory": {"peak_bytes": max(memory.phases.values()), "phases": memory.phases, **devices.describe(job.device)},
        "flops": job.facts["flops"],
        "tokens": job.progress.tokens,
        "wall_time_s": job.seconds(),
        "model": "model",
    }
