"""Muon: momentum made orthogonal, for hidden matrices; AdamW for the rest.

    m = momentum m + (1 - momentum) g
    O = NS5((1 - momentum) g + momentum m)     with Nesterov's step, else NS5(m)
    w = w - lr (decay w + s O)

with NS5 five rounds of Newton-Schulz in bfloat16, which give a matrix about U V^T of its argument U S V^T. For a matrix
(o, i), s is either 0.2 sqrt(max(o, i)), under which an update is as large as one of AdamW and its rates and decays fit,
or sqrt(max(1, o / i)), with which Muon began (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural
networks"; Liu et al. 2025 for the decay and the first s). By torch's own Muon, whose m holds (1 - momentum) of each
gradient; NS5 does not see the difference.

AdamW gets what is no hidden matrix: embeddings and output layers, by their names; norms, biases, and all weights that
have not exactly two dimensions, such as convolutions and stacked experts. Its rate is lr times rest_factor; with s
"original" lr is about 0.02, which is too large for AdamW, so that rest_factor must be about 0.015.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs.methods.optimizers import BesideAdamW
from gpu_jobs.shapes import Shape, is_hidden_matrix, size

if TYPE_CHECKING:
    from torch import nn, optim

PAPER = "https://arxiv.org/abs/2502.16982"
NEEDS_WHOLE_MATRICES = True


class Knobs(BesideAdamW):
    name: Literal["muon"]
    lr: float = Field(1e-3, gt=0, le=10, description="Peak learning rate.", json_schema_extra={"log": True})
    weight_decay: float = Field(0.1, ge=0, le=10, description="Pull of matrices towards zero.")
    scale: Literal["match_rms_adamw", "original"] = Field(
        "match_rms_adamw", description="Size of an update: like AdamW's, or as in the first Muon (lr about 0.02)."
    )
    momentum: float = Field(0.95, ge=0, lt=1, description="Memory of the gradient.")
    nesterov: bool = Field(True, description="Look ahead along the momentum.", json_schema_extra={"advanced": True})


def build(knobs: Knobs, named_parameters: Iterable[tuple[str, nn.Parameter]]) -> optim.Optimizer:
    """torch's Muon over the hidden matrices that are trained, joined with AdamW over the rest."""
    import torch

    from gpu_jobs.engine.optimizers import beside_adamw

    def muon(matrices: list[nn.Parameter]) -> optim.Optimizer:
        return torch.optim.Muon(
            matrices,
            lr=knobs.lr,
            weight_decay=knobs.weight_decay,
            momentum=knobs.momentum,
            nesterov=knobs.nesterov,
            adjust_lr_fn=knobs.scale,
        )

    return beside_adamw(knobs, named_parameters, is_hidden_matrix, muon)


def state_bytes(knobs: Knobs, shapes: Mapping[str, Shape]) -> int:
    """m of a hidden matrix, two moments of anything else, in float32."""
    return sum((4 if is_hidden_matrix(name, shape) else 8) * size(shape) for name, shape in shapes.items())
