"""BitFit: trains the biases alone.

    W, gamma frozen;  b <- b - lr g_b

(Ben Zaken et al. 2022, section 3). A model without biases, like llama, has only those of its norms or none: it is then
refused. A classifier's head is new and is trained, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gpu_jobs import registry
from gpu_jobs.anatomy import HEADS, Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import nn

PAPER = "https://arxiv.org/abs/2106.10199"
LR = 1e-3
NO_BIAS = "method 'bitfit' needs a model with biases, and this one has none: choose another method."


class Knobs(registry.Knobs):
    name: Literal["bitfit"]


def _is_trained(name: str) -> bool:
    return name.endswith(".bias") or name.split(".")[0] in HEADS


def setup(knobs: Knobs, model: nn.Module) -> nn.Module:
    """Biases and the head take part. Raises MethodError for a model that has no bias."""
    for name, value in model.named_parameters():
        value.requires_grad_(_is_trained(name))
    if not any(name.endswith(".bias") for name, _ in model.named_parameters()):
        raise MethodError(NO_BIAS)
    return model


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """Every bias, and the head. Raises MethodError for a model that has no bias."""
    if not any(name.endswith(".bias") for name in anatomy.shapes):
        raise MethodError(NO_BIAS)
    return {name: shape for name, shape in anatomy.shapes.items() if _is_trained(name)}
