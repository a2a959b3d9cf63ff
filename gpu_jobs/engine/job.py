"""A training job made ready: data, model with its method, optimizer, and how far it is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn, optim

from gpu_jobs import cost
from gpu_jobs.context import Context
from gpu_jobs.contracts import Hooks
from gpu_jobs.engine import checkpoint, data, models, objective, precision, provenance
from gpu_jobs.engine import device as devices
from gpu_jobs.engine import optim as optimization
from gpu_jobs.engine.checkpoint import Progress
from gpu_jobs.engine.data import Data
from gpu_jobs.engine.data.isolation import sees_others
from gpu_jobs.engine.judged import Judged
from gpu_jobs.engine.objective import Batch
from gpu_jobs.engine.ranks import Ranks
from gpu_jobs.engine.sampler import Indices, Sampler
from gpu_jobs.errors import MethodError, ModelError
from gpu_jobs.events import Bins, Started
from gpu_jobs.sources import new_model
from gpu_jobs.spec import Training


@dataclass
class Job(Judged):
    """What the loop works on."""

    spec: Training
    hooks: Hooks  # the method's
    loss_sum: Any  # the objective's, compiled when asked
    optimizer: optim.Optimizer
    sampler: Sampler
    progress: Progress
    facts: dict[str, Any]
    gradients: dict[str, Bins] = field(default_factory=dict)  # of the last step whose gradients were to be drawn
    before: dict[str, float] = field(default_factory=dict)  # the quality before the first step, where it was asked for
    begun: float = field(default_factory=time.perf_counter)  # when this attempt began
    origin: Progress = field(default_factory=Progress)  # where this attempt began
    offset: int = 0  # steps of the run before this training, in the names of checkpoints

    def seconds(self) -> float:
        """Wall time of the run so far: this attempt and those before it."""
        return self.progress.seconds + time.perf_counter() - self.begun

    def full_tokens(self, step: int) -> int:
        """Tokens before update `step`, every sample counted as full; those of other attempts by their own specs."""
        per_step = self.spec.batch_size * int(self.facts["tokens_per_sample"])
        return self.origin.full_tokens + (step - self.origin.step) * per_step

    def batches(self, indices: Indices, parts: int) -> list[Batch]:
        """This rank's share of these samples, in `parts`, still on the CPU."""
        shares = indices.reshape(parts, self.ranks.world, -1)[:, self.ranks.rank]
        return [self.objective.prepare(self.data.train.batch(share), training=True) for share in shares]

    def save_checkpoint(self) -> Path:
        """Writes a complete checkpoint of the step the job is at; all ranks must call this."""
        number = self.offset + self.progress.step
        folder = self.context.work_dir / "checkpoints" / f".step-{number}"
        if self.ranks.is_main:
            checkpoint.begin(self.context.work_dir, number)
        self.ranks.barrier()
        checkpoint.write_part(folder, f"rng-{self.ranks.rank}", checkpoint.rng_tensors(self.device))
        self._write("model", checkpoint.model_tensors(self.bare, self.hooks.trained()), folder)
        self._write("optimizer", checkpoint.optimizer_tensors(self.hooks.optimized(), self.optimizer), folder)
        if state := self.hooks.tensors():
            self._write("method", state, folder)
        self.ranks.barrier()
        if self.ranks.is_main:
            now = replace(self.progress, seconds=self.seconds(), full_tokens=self.full_tokens(self.progress.step))
            checkpoint.write_state(folder, now, self._saved_facts())
            folder = checkpoint.publish(folder)
        self.ranks.barrier()
        return folder

    def _write(self, name: str, tensors: dict[str, Tensor], folder: Path) -> None:
        whole = {key: checkpoint.whole(value) for key, value in tensors.items()}  # all ranks take part in gathering
        if self.ranks.is_main:
            checkpoint.write_part(folder, name, whole)

    def _saved_facts(self) -> dict[str, Any]:
        position = self.sampler.position(self.progress.step)
        data = {"fingerprint": self.data.fingerprint, **position}
        return {"data": data, "before": self.before, "spec": self.spec.model_dump()}

    def started(self) -> Started:
        """The first event."""
        return Started(
            step=self.progress.step,
            steps=self.spec.steps,
            facts=self.facts,
            provenance=provenance.collect(self.spec.seed),
        )


def prepare(
    spec: Training,
    context: Context,
    ranks: Ranks,
    *,
    model: Any = None,
    wrap: Callable[[Hooks], Hooks] = lambda hooks: hooks,
) -> Job:
    """Loads and builds everything, and goes back to the checkpoint when there is one. Raises JobError.

    `model` is trained instead of the spec's where one is given, and `wrap` may put more around the method's hooks.
    """
    device = devices.pick(ranks.rank)
    devices.make_deterministic(device)
    devices.seed(spec.seed)
    state = checkpoint.read_state(context.resume_from) if context.resume_from else None
    if state:
        torch.set_num_threads(state["threads"])  # sums over other numbers of threads end in other bits
    bf16 = precision.is_bf16(spec, device)
    _check_memory(spec, device, bf16=bf16)
    loaded, retention = _load_data(spec, context, ranks)
    bare = _prepared(spec, models.build_for(spec, context, loaded) if model is None else model, loaded)
    hooks, target = wrap(optimization.build_hooks(spec, bare)), optimization.build_objective(spec)
    facts = _facts(spec, bare, hooks, loaded, bf16=bf16)
    placed = _place(spec, bare, ranks, device, shrink=bf16 and model is None, bf16=bf16)
    devices.seed(spec.seed + ranks.rank)  # dropout differs between ranks
    job = Job(
        spec=spec,
        context=context,
        ranks=ranks,
        device=device,
        bf16=bf16,
        data=loaded,
        retention=retention,
        bare=bare,
        model=placed,
        hooks=hooks,
        objective=target,
        loss_sum=objective.compiled(target.loss_sum) if spec.compile else target.loss_sum,
        optimizer=optimization.build_optimizer(spec, hooks.optimized()),
        sampler=Sampler(len(loaded.train), spec.batch_size, spec.seed),
        progress=Progress(),
        facts=facts,
    )
    hooks.begin(job)
    target.begin(job)
    if state:
        _resume(job, state)
    return job


def _check_memory(spec: Training, device: torch.device, *, bf16: bool) -> None:
    """A new model that can't fit is refused before it is built. On a GPU, only its weights pass through the host."""
    if not new_model(spec.model):
        return
    memory = cost.plan(spec, bf16=bf16).memory
    parts = ("weights", "gradients", "optimizer") if device.type == "cpu" else ("weights",)
    devices.check_fits(sum(memory[part] or 0 for part in parts))


def _load_data(spec: Training, context: Context, ranks: Ranks) -> tuple[Data, Data | None]:
    """The data, and the second data set; rank 0 fills the cache, the others then find it full."""
    if not ranks.is_main:
        ranks.barrier()
    loaded = data.load_for(spec, spec.data, models.tokenizer_for(spec, context), context, form=spec.form)
    retention = (
        data.load_for(spec, spec.retention_data, loaded.tokenizer, context, form=spec.form)
        if spec.retention_data
        else None
    )
    if ranks.is_main:
        ranks.barrier()
    return loaded, retention


def _prepared(spec: Training, model: Any, loaded: Data) -> Any:
    """The model with the spec's method on it. Raises JobError where it can't take the spec's samples."""
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit and spec.resolved_task != "image_classification" and spec.sequence_length > limit:
        raise ModelError(f"sequence_length must not exceed the model's context: {spec.sequence_length} > {limit}.")
    model.config.use_cache = False  # only generation wants it, and with it documents of one row would not stay apart
    adapted = optimization.apply_method(spec, model)
    if loaded.padding is not None and sees_others(adapted):
        raise MethodError(
            f"packing 'isolated' can't be kept by method {spec.method.name!r} on this model: set it to none."
        )
    return adapted


def _place(spec: Training, bare: Any, ranks: Ranks, device: torch.device, *, shrink: bool, bf16: bool) -> nn.Module:
    """Puts the model on its device, shared out as asked; frozen weights in bfloat16 where they may shrink."""
    if spec.gradient_checkpointing:
        _checkpoint_activations(bare)
    if shrink and not (ranks.world > 1 and spec.parallel == "fsdp"):  # which wants one type in each block
        precision.shrink_frozen(bare)
    if not (ranks.world > 1 and spec.parallel == "fsdp"):  # which moves one block at a time, and only its part
        bare.to(device)
    return ranks.share(spec, bare.train(), bf16=bf16)


def _checkpoint_activations(model: Any) -> None:
    """By the name that this transformers has for it."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def _resume(job: Job, state: dict[str, Any]) -> None:
    folder = job.context.resume_from
    assert folder is not None
    if state["data"]["fingerprint"] != job.data.fingerprint:
        raise ModelError(f"the data are not those {folder.name} was trained on: start anew, or bring them back.")
    job.hooks.restore({name: value.to(job.device) for name, value in checkpoint.load_method(folder).items()})
    checkpoint.load_model(folder, job.bare, job.hooks.trained())
    checkpoint.load_optimizer(folder, job.hooks.optimized(), job.optimizer)
    checkpoint.load_rng(folder, state, job.device, job.ranks.rank)
    full_tokens = state.get("full_tokens", state["tokens"])  # checkpoints of earlier versions have only the latter
    job.origin = Progress(state["step"], state["tokens"], state["seconds"], full_tokens)
    job.progress = replace(job.origin)
    job.before = state.get("before", {})


def _coded(bare: nn.Module) -> int:
    """Weights that are held as codes, in buffers."""
    return sum(getattr(layer, "coded_values", 0) for layer in bare.modules())


def _facts(spec: Training, bare: Any, hooks: Hooks, loaded: Data, *, bf16: bool) -> dict[str, Any]:
    """What Started says: counted on the model itself, and planned from its config."""
    config = json.loads(bare.config.to_json_string(use_diff=False)) | {"num_labels": bare.config.num_labels}
    plan = cost.plan_for(spec, config, bf16=bf16)
    own = optimization.own_parameters(bare)
    return {
        "task": spec.resolved_task,
        "parameters": {
            "total": sum(value.numel() for value in own.values()) + _coded(bare),
            "trainable": hooks.trainable_values(),
        },
        "model": {"architecture": bare.config.model_type, "source": spec.model.source, "config": config},
        "data": {
            "name": loaded.name,
            "tokens": loaded.tokens,
            "samples": {name: len(split) for name, split in loaded.splits().items()},
            "fingerprint": loaded.fingerprint,
            "labels": loaded.labels,
            "form": loaded.form,
            "padding": loaded.padding,
        },
        "flops": plan.flops,
        "plan": plan.model_dump(),
        "precision": "bf16" if bf16 else "fp32",
        "tokens_per_sample": cost.tokens_per_sample(spec, config),
    }
