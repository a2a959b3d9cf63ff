"""The job of kind evaluate."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gpu_jobs import contracts, cost, registry
from gpu_jobs.context import Context
from gpu_jobs.engine import data, models, pairing, precision, provenance, samples
from gpu_jobs.engine import device as devices
from gpu_jobs.engine.evaluation import chunks, evaluate
from gpu_jobs.engine.judged import Judged
from gpu_jobs.engine.optim import own_parameters
from gpu_jobs.engine.ranks import ALONE
from gpu_jobs.events import Event, Log, Metrics, Phase, Result, Started

if TYPE_CHECKING:
    import torch

    from gpu_jobs.kinds.evaluate import Spec
    from gpu_jobs.sources import ModelSource


def judge(spec: Spec, context: Context) -> Iterator[Event]:
    """One pass over the split, and over the second data set where there is one. Raises JobError."""
    memory, begun = devices.PeakMemory(devices.pick()), time.perf_counter()
    job = _prepare(spec, context)
    facts = _facts(job)
    yield Started(step=0, steps=None, facts=facts, provenance=provenance.collect(spec.seed))
    yield Phase(name="evaluate", step=0, peak_memory_bytes=memory.end("load"))
    at = time.perf_counter()
    quality = evaluate(job, spec.split)
    seconds = time.perf_counter() - at
    count = sum(map(len, chunks(job, spec.split)))
    if job.retention:
        quality |= evaluate(job, "retention")
    pair = _pair(job)
    quality |= pair.metrics() if pair else {}
    yield Metrics(step=0, values=quality)
    yield Log(message=", ".join(f"{name} {value:.4g}" for name, value in quality.items()) + ".")
    quality |= yield from samples.write_samples(job, 0)
    yield Result(values=_result(job, facts, quality, memory) | {
        "speed": {"samples_per_second": count / seconds}, "wall_time_s": time.perf_counter() - begun,
        **({"pair": pair._asdict()} if pair else {}),
    })  # fmt: skip


def _prepare(spec: Spec, context: Context) -> Judged:
    device = devices.pick()
    devices.make_deterministic(device)
    devices.seed(spec.seed)
    bf16 = precision.is_bf16(spec, device)
    loaded = data.load_for(spec, spec.data, models.tokenizer_of(spec.model, context) or _own_tokenizer(spec), context)
    retention = data.load_for(spec, spec.retention_data, loaded.tokenizer, context) if spec.retention_data else None
    keeps_float32 = spec.against is not None  # on the line between two models a difference would round away
    bare = settled(_model(spec.model, spec, loaded, context), device, bf16=bf16 and not keeps_float32)
    return judged(spec, context, loaded, bare, device, bf16=bf16, retention=retention)


def settled(bare: Any, device: torch.device, *, bf16: bool) -> Any:
    """A model that is only judged from here on: frozen, on its device."""
    bare.config.use_cache = False  # with it documents of one row would not stay apart
    bare.requires_grad_(False).eval()
    if bf16:
        precision.shrink_frozen(bare)
    return bare.to(device)


def judged(
    spec: Any,
    context: Context,
    loaded: data.Data,
    bare: Any,
    device: torch.device,
    *,
    bf16: bool,
    retention: data.Data | None = None,
) -> Judged:
    """A settled model beside the data it is judged on. Of `spec`, task, batch size and number of batches are asked."""
    objective = contracts.Objective(_cross_entropy(), spec)
    job = Judged(spec, context, ALONE, device, bf16, loaded, retention, bare, bare, objective)
    objective.begin(job)  # type: ignore[arg-type]
    return job


def _model(source: ModelSource, spec: Spec, loaded: data.Data, context: Context) -> Any:
    """On the CPU. An adapter stays on its base, unless it is to be compared weight by weight."""
    return models.build_for(spec, context, loaded, source, merge=spec.against is not None)


def _pair(job: Judged) -> pairing.Pair | None:
    """How the model stands to the second one, where there is one."""
    spec = job.spec
    if spec.against is None:
        return None
    other = settled(_model(spec.against, spec, job.data, job.context), job.device, bf16=False)
    return pairing.compare(job, other, spec.split, spec.path_points)


def _cross_entropy() -> Any:
    return registry.methods("objectives")["cross_entropy"].knobs(name="cross_entropy")


def _own_tokenizer(spec: Spec) -> dict[str, Any] | None:
    if spec.resolved_task == "image_classification":
        return None
    return spec.tokenizer.model_dump() if spec.tokenizer else {"name": "byte"}


def _facts(job: Judged) -> dict[str, Any]:
    spec, bare = job.spec, job.bare
    config = json.loads(bare.config.to_json_string(use_diff=False)) | {"num_labels": bare.config.num_labels}
    return {
        "task": spec.resolved_task,
        "parameters": {"total": sum(value.numel() for value in own_parameters(bare).values()), "trainable": 0},
        "model": {"architecture": bare.config.model_type, "source": spec.model.source, "config": config},
        "data": {"name": job.data.name, "samples": {name: len(split) for name, split in job.data.splits().items()}},
        "flops": cost.plan_evaluation(spec, config, samples=sum(map(len, chunks(job, spec.split)))).flops,
        "precision": "bf16" if job.bf16 else "fp32",
        "tokens_per_sample": cost.tokens_per_sample(spec, config),
    }


def _result(
    job: Judged, facts: dict[str, Any], quality: dict[str, float], memory: devices.PeakMemory
) -> dict[str, Any]:
    memory.end("evaluate")
    peak = {"peak_bytes": max(memory.phases.values()), "phases": memory.phases, **devices.describe(job.device)}
    return {"quality": quality, "parameters": facts["parameters"], "memory": peak, "flops": facts["flops"]}
