"""What a model costs: measured before, and on the file that was read back."""

from __future__ import annotations

import copy
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from gpu_jobs import cost
from gpu_jobs.engine import compressed, folders
from gpu_jobs.engine.optim import own_parameters
from gpu_jobs.engine.shrinking import kernels
from gpu_jobs.engine.shrinking.change import Change
from gpu_jobs.engine.shrinking.saving import weights
from gpu_jobs.engine.shrinking.subject import Subject
from gpu_jobs.shapes import parameters
from gpu_jobs.sources import PathModel, RunModel

REPEATS, WARM_UPS = 9, 3


def dense(subject: Subject) -> dict[str, Any]:
    """The model as it came: parameters, bytes, FLOPs and latency."""
    own = own_parameters(subject.bare)
    return {
        "parameters": sum(value.numel() for value in own.values()),
        "bytes": _bytes_before(subject) or sum(value.numel() * value.element_size() for value in own.values()),
        "flops": flops(subject),
        "latency_s": latency(subject),
        "latency_by_length": by_length(subject),
    }


def _bytes_before(subject: Subject) -> int:
    """The weights' files that it came from, 0 where it did not come from a whole model's folder."""
    if not isinstance(subject.spec.model, RunModel | PathModel):
        return 0
    folder = folders.find(subject.spec.model, subject.context)
    return 0 if folder.is_adapter else _bytes(folder.path)


def final(subject: Subject, change: Change, before: dict[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """What the result says, and the same as metrics. The model is the one that was read back."""
    own = own_parameters(subject.bare)
    total = compressed.values(subject.bare)
    nonzero = total - sum(int((value == 0).sum()) for value in own.values() if value.ndim >= 2)
    stored = stored_bytes(subject)
    sparsity = measured(subject, change, before, nonzero)
    values = {
        "sparsity": sparsity,
        "bytes": {"dense": before["bytes"], "stored": stored},
        "bits_per_parameter": 8 * stored / before["parameters"],
        "parameters": {
            "total": total, "nonzero": nonzero, "dense": before["parameters"], "trainable": 0,
            "trained": change.facts.get("trained", 0),
        },
        "flops": {"dense": before["flops"], "stored": flops(subject), "formula": cost.FORWARD},
        "latency": {
            "dense_s": before["latency_s"], "stored_s": latency(subject), "samples": 1,
            "tokens": subject.spec.sequence_length, "device": subject.device.type,
            **_on_kernels(subject, change),
        },
        **_by_length(subject, before),
        **change.facts.get("result", {}),
    }  # fmt: skip
    told = {"size/stored_bytes": float(stored), "size/nonzero_parameters": float(nonzero)}
    return values, told | ({"sparsity/measured": sparsity["measured"]} if sparsity else {})


def measured(subject: Subject, change: Change, before: dict[str, Any], nonzero: int) -> dict[str, Any] | None:
    """The sparsity of each pruned layer and of all, from the weights as stored; None where none was asked for."""
    if change.target is None:
        return None
    zeros = {name: int((weights(subject, name) == 0).sum()) for name in change.masks}
    sizes = {name: mask.numel() for name, mask in change.masks.items()}
    layers = {name: zeros[name] / sizes[name] for name in zeros} | change.shares
    whole = 1 - nonzero / before["parameters"]
    return {
        "target": change.target,
        "measured": sum(zeros.values()) / sum(sizes.values()) if sizes else change.facts.get("removed", whole),
        "whole": whole,
        "pattern": change.pattern,
        "layers": layers,
    }


def stored_bytes(subject: Subject) -> int:
    """The weights' files."""
    return _bytes(subject.context.work_dir / "model")


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def flops(subject: Subject) -> int | None:
    """Of one sample's forward, by the factors where a matrix has become factors; None for an unknown architecture."""
    config, spec = subject.config, subject.spec
    dense = parameters(config, spec.resolved_task)
    if dense is None:
        return None
    return cost.forward_flops(compressed.shapes(subject.bare, dense), config, cost.tokens_per_sample(spec, config))


def _on_kernels(subject: Subject, change: Change) -> dict[str, float]:
    """In bfloat16, dense and by the 2:4 kernels, where this device has them and the layers fit."""
    if not kernels.has_sparse_kernels(subject.device):
        return {}
    subject.bare.to(subject.device)
    held = kernels.sparse(subject.bare, change)
    if held is None:
        return {}
    plain = copy.deepcopy(subject.bare).to(torch.bfloat16)
    batch = _sample(subject)
    return {"dense_bf16_s": _median(subject, plain, batch), "sparse_bf16_s": _median(subject, held, batch)}


def latency(subject: Subject) -> float:
    """Seconds of one sample's forward on this device: the median of several, warm."""
    return _median(subject, subject.bare.to(subject.device).eval(), _sample(subject))


def by_length(subject: Subject) -> dict[str, float]:
    """The same for texts of the lengths that the kind asks for, as far as the model reads them."""
    if subject.spec.resolved_task == "image_classification":
        return {}
    longest = getattr(subject.bare.config, "max_position_embeddings", None) or max(subject.spec.LENGTHS, default=0)
    ids, model = subject.sample()["input_ids"][:1], subject.bare.to(subject.device).eval()
    found = {}
    for length in (length for length in subject.spec.LENGTHS if length <= longest):
        text = ids.repeat(1, -(-length // ids.shape[1]))[:, :length]
        found[str(length)] = _median(subject, model, {"input_ids": text.to(subject.device)})
    return found


def _by_length(subject: Subject, before: dict[str, Any]) -> dict[str, Any]:
    if not subject.spec.LENGTHS:
        return {}
    stored = by_length(subject)
    dense = before["latency_by_length"]
    return {"latency_by_length": {name: {"dense_s": dense[name], "stored_s": stored[name]} for name in stored}}


def _sample(subject: Subject) -> dict[str, torch.Tensor]:
    return {name: value[:1].to(subject.device) for name, value in subject.sample().items() if name != "labels"}


@torch.no_grad()
def _median(subject: Subject, model: Any, batch: dict[str, torch.Tensor]) -> float:
    times = []
    for _ in range(WARM_UPS + REPEATS):
        begun = time.perf_counter()
        model(**batch)
        if subject.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[WARM_UPS:])
