"""WideNet: one block for all depths, wide by a mixture of experts, with layer norms of its own at each depth.

    x <- x + attention(LN_l(x));   x <- x + sum over i in TopK of g_i expert_i(LN'_l(x))      l = 1 ... L
    g = softmax(W x + noise),  noise ~ N(0, 1/E^2), in training only

(Xue et al. 2022.) Attention, experts and router are the same weights at every depth. In training an expert takes at
most C K n / E of a batch's n tokens and drops the rest, whose residual goes on alone; places are given by position
first, so that a later token never takes the place of an earlier one. Evaluation drops nothing, so that a sample's
result does not hang on its neighbours. The balance loss is E sum m_i P_i, with m_i the share of tokens sent to expert i
and P_i its mean probability: K when even.

Unchecked against the paper: that P is taken without the noise, the order in which places are given, and that nothing
is dropped in evaluation. In text the positions are rotary and the block is a decoder's; images are read as by a ViT.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from gpu_jobs.methods.architectures import Pictures
from gpu_jobs.shapes import Config, Shapes, attention, image_model, layer_norm, linear, text_model

PAPER = "https://arxiv.org/abs/2107.11817"
TASKS = ("causal_lm", "sequence_classification", "image_classification")


class Knobs(Pictures):
    gated = False

    name: Literal["widenet"]
    layers: int = Field(4, ge=1, le=256, description="How often the one block is used; each use has its own norms.")
    experts: int = Field(4, ge=1, le=256, description="Feed-forward layers of the block, E.")
    top_k: int = Field(2, ge=1, le=256, description="Experts that a token is sent to, K.")
    capacity: float = Field(
        1.2, gt=0, le=256, description="Places of an expert, as a multiple of an even share of the tokens."
    )
    balance: float = Field(0.01, ge=0, le=10, description="Weight of the loss for equally used experts.")
    noise: bool = Field(True, description="Noise on the router's scores in training: experts are tried out.")

    @model_validator(mode="after")
    def _experts_fit(self) -> Self:
        if self.top_k > self.experts:
            raise ValueError(f"top_k must not exceed experts: {self.top_k} > {self.experts}")
        return self


def config(knobs: Knobs, *, vocab_size: int, labels: int | None) -> dict[str, Any]:
    """The fields of config.json."""
    names = ("experts", "top_k", "capacity", "balance", "noise")
    own = {name: getattr(knobs, name) for name in names} | {"norm": "layer", "attention_bias": True}
    return knobs.fields(vocab_size=vocab_size, labels=labels) | own


def shapes(config: Config, task: str) -> Shapes:
    """One block and 2 L norms."""
    width, ffn = config["hidden_size"], config["intermediate_size"]
    stack = attention("model.stack.block.self_attn", config)
    stack |= linear("model.stack.block.moe.router", width, config["experts"], bias=False)
    for expert in range(config["experts"]):
        stack |= linear(f"model.stack.block.moe.experts.{expert}.mlp.up_proj", width, ffn)
        stack |= linear(f"model.stack.block.moe.experts.{expert}.mlp.down_proj", ffn, width)
    for layer in range(config["num_hidden_layers"]):
        stack |= layer_norm(f"model.stack.before.{layer}", width) | layer_norm(f"model.stack.after.{layer}", width)
    return (image_model if task == "image_classification" else text_model)(config, task, stack)


def passes(config: Config, name: str, length: int) -> float:
    """Once at each depth; an expert K / E times of that, drops left aside."""
    depth = config["num_hidden_layers"]
    if ".experts." in name:
        return float(depth * config["top_k"] / config["experts"])
    return float(depth) if ".stack." in name else 1


def attended(config: Config, length: int) -> float:
    """All pairs at each depth."""
    return float(config["num_hidden_layers"] * length**2)


def classes() -> dict[str, Any]:
    """transformers' classes of it."""
    from gpu_jobs.engine.architectures.widenet import CLASSES

    return CLASSES
