"""The model that is made smaller, with what it is judged on and looked at with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from gpu_jobs import contracts, cost, phases
from gpu_jobs.context import Context
from gpu_jobs.engine import data, judging, models, precision
from gpu_jobs.engine import device as devices
from gpu_jobs.engine.data import Data, order
from gpu_jobs.engine.evaluation import evaluate
from gpu_jobs.engine.judged import Judged
from gpu_jobs.engine.objective import Batch
from gpu_jobs.engine.optim import own_parameters
from gpu_jobs.errors import DataError
from gpu_jobs.shrinking import Shrinking
from gpu_jobs.sources import Data as DataSource


@dataclass
class Subject:
    """`bare` is the model, changed in place or put in its place by whoever makes it smaller."""

    spec: Any  # shrinking.Shrinking
    context: Context
    device: torch.device
    bf16: bool
    bare: Any
    data: Data
    others: dict[str, Data]  # more data sets to judge it on, by name
    _batches: list[Batch] | None = field(default=None, repr=False)

    def judge(self) -> dict[str, float]:
        """The quality on every data set: "eval/loss" of the first, "<name>/loss" of the others."""
        self.bare.to(self.device).eval()
        found = evaluate(self._judged(self.data))
        for name, loaded in self.others.items():
            found |= {
                key.replace("eval/", f"{name}/", 1): value for key, value in evaluate(self._judged(loaded)).items()
            }
        return found

    def _judged(self, loaded: Data) -> Judged:
        return judging.judged(self.spec, self.context, loaded, self.bare, self.device, bf16=self.bf16)

    def batches(self) -> list[Batch]:
        """The calibration samples, on the CPU: the same for every method. Raises DataError when they are too few."""
        if self._batches is None:
            self._batches = self._read()
        return self._batches

    def _read(self) -> list[Batch]:
        asked = self.spec.calibration
        source, length = asked.data or self.spec.data, asked.sequence_length or self.spec.sequence_length
        is_same = source == self.spec.data and length == self.spec.sequence_length
        loaded = (
            self.data
            if is_same
            else data.load_for(self.spec, source, self.data.tokenizer, self.context, sequence_length=length)
        )
        if len(loaded.train) < asked.samples:
            raise DataError(
                f"calibration.samples asks for {asked.samples:,} samples of {length} tokens, and {loaded.name} has "
                f"{len(loaded.train):,} to train on: lower it, or calibration.sequence_length."
            )
        judged = self._judged(loaded)
        chosen = order(len(loaded.train), self.spec.seed, 0)[: asked.samples]
        parts = [chosen[at : at + asked.batch_size] for at in range(0, len(chosen), asked.batch_size)]
        return [judged.objective.prepare(loaded.train.batch(part), training=False) for part in parts]

    def read_with(self, tokenizer: Any) -> None:
        """Reads all data again as this tokenizer cuts them, which comes with the model from here on."""
        self.data = data.load_for(self.spec, self.spec.data, tokenizer, self.context)
        sources = zip(self.others, self.spec.evaluate, strict=True)
        self.others = {name: data.load_for(self.spec, source, tokenizer, self.context) for name, source in sources}
        self._batches = None

    def sample(self) -> Batch:
        """One sample of the evaluation split, on the CPU."""
        return self._judged(self.data).objective.prepare(self.data.eval.batch(order(1, 0, 0)), training=False)

    def loss_sum(self, batch: Batch) -> torch.Tensor:
        """The loss of a calibration batch, summed over its targets; gradients flow."""
        moved = {name: value.to(self.device) for name, value in batch.items()}
        return contracts.Objective(None, self.spec).loss_sum(self.bare, moved)

    @property
    def config(self) -> dict[str, Any]:
        """Its config.json as it is now."""
        found: dict[str, Any] = json.loads(self.bare.config.to_json_string(use_diff=False))
        return found | {"num_labels": self.bare.config.num_labels}

    def facts(self) -> dict[str, Any]:
        """What Started says of it."""
        total = sum(value.numel() for value in own_parameters(self.bare).values())
        return {
            "task": self.spec.resolved_task,
            "parameters": {"total": total, "trainable": 0},
            "model": {
                "architecture": self.bare.config.model_type,
                "source": self.spec.model.source,
                "config": self.config,
                "reshaped": self.spec.reshapes,
            },
            "data": {
                "name": self.data.name,
                "samples": {name: len(split) for name, split in self.data.splits().items()},
                "labels": self.data.labels,
            },
            "flops": phases.plan(self.spec, self.config, bf16=self.bf16).flops,
            "precision": "bf16" if self.bf16 else "fp32",
            "tokens_per_sample": cost.tokens_per_sample(self.spec, self.config),
        }


def prepare(spec: Shrinking, context: Context) -> Subject:
    """Loads the data and the model; an adapter is merged into its base first. Raises JobError."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device = devices.pick()
    devices.make_deterministic(device)
    devices.seed(spec.seed)
    loaded = data.load_for(spec, spec.data, models.tokenizer_for(spec, context), context)
    others = _named(spec.evaluate, [data.load_for(spec, each, loaded.tokenizer, context) for each in spec.evaluate])
    bare = load_model(spec, context, loaded)
    return Subject(spec, context, device, precision.is_bf16(spec, device), bare, loaded, others)


def load_model(spec: Shrinking, context: Context, loaded: Data) -> Any:
    """The spec's model, frozen, on the CPU."""
    bare: Any = models.build_for(spec, context, loaded)
    bare.config.use_cache = False  # with it documents of one row would not stay apart
    return bare.requires_grad_(False).eval()


def _named(sources: Sequence[DataSource], loaded: Sequence[Data]) -> dict[str, Data]:
    """By the data's name; a second of the same name gets its number."""
    found: dict[str, Data] = {}
    for number, each in enumerate(loaded, 2):
        found[each.name if each.name not in found else f"{each.name}-{number}"] = each
    return found
