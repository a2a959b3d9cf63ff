"""Head only: trains the output layer alone, linear probing.

    logits = W h + b        h from the frozen model; W and b are trained

The gradient ends at the output layer, so that nothing of the model below is kept for a backward. A language model whose
output layer is its embedding trains that table, which is both: the gradient then goes to the input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from gpu_jobs import registry
from gpu_jobs.anatomy import HEADS, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import nn


class Knobs(registry.Knobs):
    name: Literal["head_only"]


def setup(knobs: Knobs, model: Any) -> nn.Module:
    """The output layer takes part."""
    heads = [getattr(model, name) for name in HEADS if hasattr(model, name)]
    model.requires_grad_(False)
    for head in heads or [model.get_output_embeddings()]:
        head.requires_grad_(True)
    return model  # type: ignore[no-any-return]


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The classifier, the output layer, or the table that is the output layer, too."""
    head = anatomy.head() or {name: shape for name, shape in anatomy.shapes.items() if name.startswith("lm_head.")}
    return head or {
        f"{layer.name}.weight": anatomy.shapes[f"{layer.name}.weight"] for layer in anatomy.layers("embedding")
    }


def backward(knobs: Knobs, anatomy: Anatomy, trained: Shapes, flops: Callable[[Shapes], int]) -> tuple[float, int]:
    """Nowhere further down, unless the table is the input, too."""
    return float(_is_tied(anatomy)), flops(trained)


def _is_tied(anatomy: Anatomy) -> bool:
    return not any(name.startswith(("lm_head.", *HEADS)) for name in anatomy.shapes)
