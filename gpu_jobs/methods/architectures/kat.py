"""Kolmogorov-Arnold Transformer: feed-forward layers whose activations are learned rational functions.

    phi(x) = (a_0 + a_1 x + ... + a_5 x^5) / (1 + |b_1 x| + |b_2 x^2| + |b_3 x^3| + |b_4 x^4|)
    x <- x + attention(LN(x));   x <- x + W_2 phi_2(W_1 phi_1(LN'(x)))

(Yang and Wang 2025, of the group-rational KAN.) The channels stand in `groups` groups: all share the a, each group has
b of its own; so an activation has 6 + 4 groups weights. phi_1 begins as the identity, phi_2 as Swish or GELU: its a and
b are fitted here by least squares on [-3, 3]. W_1 and W_2 are drawn so that the variance stays 1 through the layer. The
slope of |b| at 0 is taken as 1, or what begins at 0 would stay there.

The form of phi, the sharing, 8 groups, the ViT around it and its training (AdamW, rate 1e-3, weight decay 0.05) are the
authors' code; unchecked against the paper. The text model is ours: the same block in a decoder with rotary positions.
Powers are computed in float32, in plain torch: slower than the authors' kernel.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from gpu_jobs.methods.architectures import Pictures
from gpu_jobs.shapes import Config, Shapes, attention, image_model, layer_norm, linear, text_model

PAPER = "https://arxiv.org/abs/2409.10594"
TASKS = ("causal_lm", "sequence_classification", "image_classification")
NUMERATOR, DENOMINATOR = 6, 4  # coefficients


class Knobs(Pictures):
    gated = False

    name: Literal["kat"]
    groups: int = Field(8, ge=1, le=1024, description="Groups of channels with a denominator of their own.")
    activation: Literal["swish", "gelu"] = Field("swish", description="What the second activation begins as.")

    @model_validator(mode="after")
    def _groups_fit(self) -> Self:
        for field, value in (("width", self.width), ("ffn", self.ffn_width)):
            if value % self.groups:
                raise ValueError(f"groups must divide {field}: {self.groups} does not divide {value}")
        return self


def config(knobs: Knobs, *, vocab_size: int, labels: int | None) -> dict[str, Any]:
    """The fields of config.json."""
    own = {"groups": knobs.groups, "activation": knobs.activation, "norm": "layer", "attention_bias": True}
    return knobs.fields(vocab_size=vocab_size, labels=labels) | own


def shapes(config: Config, task: str) -> Shapes:
    """Every weight; two activations in each block."""
    width, ffn, stack = config["hidden_size"], config["intermediate_size"], Shapes()
    for layer in range(config["num_hidden_layers"]):
        at = f"model.stack.layers.{layer}"
        stack |= attention(f"{at}.self_attn", config)
        stack |= layer_norm(f"{at}.input_layernorm", width) | layer_norm(f"{at}.post_attention_layernorm", width)
        stack |= linear(f"{at}.mlp.up_proj", width, ffn) | linear(f"{at}.mlp.down_proj", ffn, width)
        for name in ("inner", "outer"):
            stack[f"{at}.mlp.{name}.numerator"] = (NUMERATOR,)
            stack[f"{at}.mlp.{name}.denominator"] = (config["groups"], DENOMINATOR)
    return (image_model if task == "image_classification" else text_model)(config, task, stack)


def passes(config: Config, name: str, length: int) -> float:
    """Coefficients multiply no matrix."""
    return 0 if name.endswith(".denominator") else 1


def attended(config: Config, length: int) -> float:
    """All pairs in each block."""
    return float(config["num_hidden_layers"] * length**2)


def classes() -> dict[str, Any]:
    """transformers' classes of it."""
    from gpu_jobs.engine.architectures.kat import CLASSES

    return CLASSES
