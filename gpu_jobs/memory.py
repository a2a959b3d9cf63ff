"""How much memory of one GPU a training run needs, by part. Free of torch.

    weights       4 bytes each; under bf16 the frozen matrices 2, and the trained ones 2 more for autocast's copy
    gradients     4 bytes for each trained value
    optimizer     what the optimizer keeps: its `state_bytes`, 8 for each trained value with AdamW
    activations   b T L a + b o, with b samples at once, T tokens, L layers, a bytes that one layer keeps of one token
                  for the backward (table below), and o what the output layer keeps

With a residual stream of width d, k key/value width and f feed-forward width, one layer keeps of one token, with the
attention kernels that do not store the scores (counted from the tensors that autograd saves):

    llama        float32: 32 d + 8 k + 16 f     bf16 autocast: 30 d + 4 k + 8 f
    gpt2                  32 d + 20 f                          20 d + 10 f
    bert, vit             32 d + 8 f                           24 d + 4 f

Gradient checkpointing keeps 4 d for every layer, and all of it for one. The output layer keeps its scores, their
log-softmax and the gradients of both: 16 bytes for each token and vocabulary entry. An adapter keeps a little less than
this, because the inputs of frozen layers are not needed. A method that never goes backward (IS_FORWARD_ONLY) has
neither gradients nor the optimizer's state, and the activations of one layer at a time. FSDP divides weights, gradients
and optimizer by the GPUs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.shapes import Config, Shapes, count, heads, layers, size, width
from gpu_jobs.spec import Training

PARTS = ("weights", "gradients", "optimizer", "activations", "total")


class Kept(NamedTuple):
    """Bytes that a layer keeps of one token, for each unit of these widths."""

    width: int
    kv: int
    ffn: int
    dropout: int  # more of `width` where there is dropout


_KEPT = {
    ("llama", False): Kept(32, 8, 16, 0),
    ("llama", True): Kept(30, 4, 8, 0),
    ("gpt2", False): Kept(32, 0, 20, 8),
    ("gpt2", True): Kept(20, 0, 10, 10),
    ("bert", False): Kept(32, 0, 8, 8),
    ("bert", True): Kept(24, 0, 4, 10),
    ("vit", False): Kept(32, 0, 8, 8),
    ("vit", True): Kept(24, 0, 4, 10),
}


def estimate(
    spec: Training, config: Config, shapes: Shapes, trained: Shapes, length: int, *, bf16: bool
) -> dict[str, int | None]:
    """Bytes by part on one GPU, for `length` tokens a sample."""
    shards = spec.gpus if spec.parallel == "fsdp" else 1
    values, seen = count(trained), Anatomy(config, shapes, spec.resolved_task)
    method = registry.method_of(spec.method).module
    optimized = method.optimized(spec.method, seen, trained) if hasattr(method, "optimized") else trained
    state: int = registry.method_of(spec.optimizer).module.state_bytes(spec.optimizer, optimized)
    kept = activations(spec, config, length, bf16=bf16)
    parts = {
        "weights": weights(shapes, trained, bf16=bf16) // shards,
        "gradients": 4 * values // shards,
        "optimizer": state // shards,
        "activations": kept or 0,
    }
    if getattr(method, "IS_FORWARD_ONLY", False):
        passing = forward(spec, config, length, samples=spec.micro_batch)
        parts |= {"gradients": 0, "optimizer": 0, "activations": passing or 0}
    if hasattr(method, "memory"):
        parts |= method.memory(spec.method, parts, seen, trained)
    if kept is None:
        return {**parts, "activations": None, "total": None}
    return {**parts, "total": sum(parts.values())}


def weights(shapes: Shapes, trained: Shapes, *, bf16: bool) -> int:
    """Bytes of all weights, autocast's copies included."""
    every = shapes | trained
    if not bf16:
        return 4 * count(every)
    return sum(_bf16_bytes(name, name in trained) * size(shape) for name, shape in every.items() if len(shape) >= 2) + (
        4 * sum(size(shape) for shape in every.values() if len(shape) < 2)
    )


def _bf16_bytes(name: str, is_trained: bool) -> int:
    if "embed" in name or ".wte." in name or ".wpe." in name:
        return 4
    return 6 if is_trained else 2


def activations(spec: Training, config: Config, length: int, *, bf16: bool) -> int | None:
    """Bytes that the backward needs of one forward; None for an architecture whose layers nobody has measured."""
    if (config["model_type"], bf16) not in _KEPT:
        return None
    layer = layer_bytes(config, length, bf16=bf16)
    kept = layer + 4 * width(config) * layers(config) if spec.gradient_checkpointing else layer * layers(config)
    outputs = config["vocab_size"] if spec.resolved_task in ("causal_lm", "masked_lm") else 0
    return spec.micro_batch * length * (kept + 12 * width(config) + 16 * outputs)


def forward(spec: Any, config: Config, length: int, *, samples: int) -> int | None:
    """Bytes of a forward that keeps nothing: one layer's activations in float32, scores, their copy and log-softmax.

    None for an architecture whose layers nobody has measured.
    """
    if (config["model_type"], False) not in _KEPT:
        return None
    outputs = config["vocab_size"] if spec.resolved_task in ("causal_lm", "masked_lm") else 0
    return samples * length * (layer_bytes(config, length, bf16=False) + 12 * outputs)


def layer_bytes(config: Config, length: int, *, bf16: bool) -> int:
    """Bytes that one layer keeps of one token."""
    kept, kv_width = _KEPT[config["model_type"], bf16], width(config)
    if config.get("num_key_value_heads"):
        kv_width = width(config) * config["num_key_value_heads"] // heads(config)
    ffn = config.get("intermediate_size") or config.get("n_inner") or 4 * width(config)
    stored = kept.width * width(config) + kept.kv * kv_width + kept.ffn * ffn + 4 * heads(config)
    return stored + (kept.dropout * width(config) if _has_dropout(config) else 0)


def _has_dropout(config: Config) -> bool:
    return bool(config.get("resid_pdrop") or config.get("hidden_dropout_prob"))
