"""New models that no library has, each small enough to train from random weights.

Contract, all of it free of torch until called:

    Knobs       the sizes (`Sizes`, or `Pictures` for one that reads images, too) and what is the architecture's own
    TASKS       what a model can learn: "causal_lm", "sequence_classification", "image_classification"
    config(knobs, *, vocab_size, labels) -> dict
                the fields of config.json; `model_type` is the file's name
    shapes(config, task) -> Shapes
                name and shape of every weight, as in `model.named_parameters()`; a tied one stands once
    passes(config, name, length) -> float
                how many times one token, on average, passes the matrix called `name` in one forward of the training,
                as a multiple of once: what a plan counts FLOPs by
    attended(config, length) -> float
                pairs of query and key in all attention layers of one sample's forward: layers x length^2 when plain
    classes() -> dict
                transformers' classes: "config", "model", and one for each task (imports torch)

A model's output may carry `auxiliary_loss`, a scalar: the mean over the batch, weighted already. The objective adds
it to the loss of the training and never to that of an evaluation. `model.readings()` tells what its routers did in the
training forwards since it was last asked, scalars by name ("router/depth"), {} when there were none; the loop asks
after each step. Whoever draws at random draws
from torch's own generator in training (a checkpoint holds it) and from a generator of its own in evaluation.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from gpu_jobs import registry

ADVANCED: dict[str, Any] = {"advanced": True}


class Sizes(registry.Knobs):
    """The sizes that all transformers share."""

    gated: ClassVar[bool] = True  # whether the feed-forward layer has three matrices, as llama's, or two

    layers: int = Field(4, ge=1, le=256, description="Transformer blocks.")
    width: int = Field(128, ge=8, le=32768, description="Size of the residual stream; a multiple of heads.")
    heads: int = Field(4, ge=1, le=512, description="Attention heads per layer.")
    ffn: int | None = Field(
        None,
        ge=8,
        le=131072,
        description="Width of the feed-forward layer. Empty: 8/3 width, rounded up to a multiple of 8, where it is a "
        "llama's (three matrices), else 4 x width.",
    )
    vocab: int | None = Field(
        None, ge=2, le=1_000_000, description="Rows of the embedding. Empty: as many as the tokenizer has tokens."
    )
    context: int = Field(1024, ge=8, le=1_048_576, description="The longest sequence it can read, in tokens.")
    tie_embeddings: bool = Field(True, description="Use one matrix for the embedding and the output layer.")

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width must be a multiple of 2 x heads: {self.width} is not a multiple of {2 * self.heads} (rotary "
                "positions turn pairs)"
            )
        return self

    @property
    def ffn_width(self) -> int:
        """The feed-forward width, given or by the rule."""
        return self.ffn or (-(-8 * self.width // 24) * 8 if self.gated else 4 * self.width)

    def fields(self, *, vocab_size: int, labels: int | None) -> dict[str, Any]:
        """What these knobs say in config.json, under transformers' names."""
        found = {
            "model_type": self.name,
            "num_hidden_layers": self.layers,
            "hidden_size": self.width,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "intermediate_size": self.ffn_width,
            "max_position_embeddings": self.context,
            "tie_word_embeddings": self.tie_embeddings,
        }
        rows = self.vocab or vocab_size  # 0 where there is no text
        return found | ({"vocab_size": rows} if rows else {}) | ({} if labels is None else {"num_labels": labels})


class Pictures(Sizes):
    """Sizes of a model that reads images where the data are images: as a ViT does, by patches and a class token."""

    image_size: int = Field(8, ge=1, le=4096, description="Height and width of an image in pixels (images only).")
    patch_size: int = Field(2, ge=1, le=4096, description="Height and width of a patch in pixels (images only).")
    channels: int = Field(1, ge=1, le=16, description="Colour channels of an image (images only).")

    @model_validator(mode="after")
    def _patches_fit(self) -> Self:
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size must be a multiple of patch_size: {self.image_size} is not one of {self.patch_size}"
            )
        return self

    def fields(self, *, vocab_size: int, labels: int | None) -> dict[str, Any]:
        images = {"image_size": self.image_size, "patch_size": self.patch_size, "num_channels": self.channels}
        return super().fields(vocab_size=vocab_size, labels=labels) | images
