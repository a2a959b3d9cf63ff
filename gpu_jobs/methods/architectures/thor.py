"""THOR: every second block has E feed-forward experts, and chance decides which one works.

    x <- x + attention(LN(x));   x <- x + expert_e(LN'(x)),   e uniform in 1 ... E

(Zuo et al. 2022.) There is no router: experts are drawn at random in training (one for the batch, for each sample or
for each token) and in evaluation (for each sample or token). They learn to agree by the consistency loss: two passes
over one batch, each with draws of its own, and the symmetric divergence of their predictions. To make two passes, call
the model twice in training mode: every call draws anew. With one expert it is a llama.

Two experts, on every second block beginning with the first, one draw for the batch in training and by token or sample
in evaluation are the authors' released code; their model translates (encoder and decoder), this one is a decoder.
Evaluation draws from a generator that begins at `inference_seed` in every forward: the same batch gives the same
result, and the training's generator is left alone.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gpu_jobs.methods.architectures import ADVANCED, Sizes
from gpu_jobs.shapes import Config, Shapes, attention, decoder_layer, gated_mlp, text_model

PAPER = "https://arxiv.org/abs/2110.04260"
TASKS = ("causal_lm", "sequence_classification")


class Knobs(Sizes):
    name: Literal["thor"]
    experts: int = Field(2, ge=1, le=256, description="Feed-forward layers of a block with experts, E.")
    every: int = Field(2, ge=1, le=256, description="One block in so many has experts, beginning with the first.")
    drawn: Literal["batch", "sample", "token"] = Field(
        "batch", description="Training: what one draw of an expert is for, in each block."
    )
    drawn_in_evaluation: Literal["sample", "token"] = Field(
        "token", description="Evaluation: what one draw of an expert is for, in each block."
    )
    inference_seed: int = Field(
        0, ge=0, lt=2**31, description="Where the draws of an evaluation begin.", json_schema_extra=ADVANCED
    )


def config(knobs: Knobs, *, vocab_size: int, labels: int | None) -> dict[str, Any]:
    """The fields of config.json."""
    names = ("experts", "every", "drawn", "drawn_in_evaluation", "inference_seed")
    return knobs.fields(vocab_size=vocab_size, labels=labels) | {name: getattr(knobs, name) for name in names}


def has_experts(config: Config, layer: int) -> bool:
    """Whether this block, counted from 0, has experts."""
    return bool(layer % config["every"] == 0)


def shapes(config: Config, task: str) -> Shapes:
    """Every weight of every expert."""
    stack, width = Shapes(), config["hidden_size"]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.stack.layers.{layer}"
        if not has_experts(config, layer):
            stack |= decoder_layer(at, config)
            continue
        stack |= attention(f"{at}.self_attn", config)
        stack |= {f"{at}.input_layernorm.weight": (width,), f"{at}.post_attention_layernorm.weight": (width,)}
        for expert in range(config["experts"]):
            stack |= gated_mlp(f"{at}.experts.{expert}.mlp", config)
    return text_model(config, task, stack)


def passes(config: Config, name: str, length: int) -> float:
    """An expert works for one token in E."""
    return 1 / config["experts"] if ".experts." in name else 1


def attended(config: Config, length: int) -> float:
    """All pairs in each block."""
    return float(config["num_hidden_layers"] * length**2)


def classes() -> dict[str, Any]:
    """transformers' classes of it."""
    from gpu_jobs.engine.architectures.thor import CLASSES

    return CLASSES
