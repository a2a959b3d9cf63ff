"""Antidote: zeroes the weights that harmful text uses most, after a fine-tuning that may have taught it.

    h_ij = |W_ij| ||X_j||_2        X from harmful text, the realignment set: `calibration.data`
    S = -h                         the highest of h go

(Huang et al. 2024, "Antidote: Post-fine-tuning Safety Alignment for Large Language Models against Harmful
Fine-tuning".) h is Wanda's score, here of what is to be forgotten. Its use is judged on two sets, harmful text and the
task: name both in `data` and `evaluate`. As for Wanda, weights are compared with those of the same output, block after
block (unchecked against the paper; the authors' code calls a variant that weighs layers by their outliers). A share of
0.1, as in their scripts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs.prunable import PruningKnobs

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_jobs.engine.pruning.layers import Layer

PAPER = "https://arxiv.org/abs/2408.09600"
NEEDS = "norms"
SCOPE = "row"
PATTERNS = ("unstructured",)


class Knobs(PruningKnobs):
    name: Literal["antidote"]
    sparsity: float = Field(0.1, ge=0, lt=1, description="Share of the weights of each output that is removed.")


def score(knobs: Knobs, layer: Layer) -> Tensor:
    """-|W| ||X||, (out, in)"""
    return -layer.weight.abs() * layer.norms
