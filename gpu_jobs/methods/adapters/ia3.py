"""IA3: scales what attention and MLPs pass on, by one trained number per channel.

    h = l * (W x)        and, in the last layer of an MLP, h = W (l * x); l begins at 1

(Liu et al. 2022). The paper scales the keys, the values and the hidden layer of the MLP: targets k_proj,
v_proj and down_proj in a llama. Merging multiplies W's rows, or columns. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy, Targets, pattern
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2205.05638"
LR = 3e-3


class Knobs(AdapterKnobs):
    name: Literal["ia3"]
    targets: Targets = Field(
        "all", description="Which layers are scaled: a group, or the names of modules (k_proj, v_proj, down_proj)."
    )


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """l of every adapted layer: one value per output, or per input of an MLP's last layer."""
    last = {layer.name for layer in anatomy.layers("mlp")} & {layer.name for layer in anatomy.layers("outputs")}
    layers = anatomy.layers(knobs.targets)
    return {f"{layer.name}.l": (layer.inputs if layer.name in last else layer.outputs,) for layer in layers}


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import IA3Config

    kind = target.model.config.model_type
    return IA3Config(
        target_modules=target.pattern,
        feedforward_modules=f"(?={pattern('mlp', kind)}$){pattern('outputs', kind)}",
        fan_in_fan_out=target.fan_in_fan_out,
    )
