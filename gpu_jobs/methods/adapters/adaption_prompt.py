"""LLaMA-Adapter: trained prompts inside the attention of the last blocks, behind a gate that begins shut.

    attention(x) + g attention(x over the keys and values of p)        p (n, width), g trained per block, g = 0 first

(Zhang et al. 2023). For llama and gpt2 only. It can't be merged. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2303.16199"
LR = 1e-2
MERGES = False


class Knobs(registry.Knobs):
    name: Literal["adaption_prompt"]
    tokens: int = Field(8, ge=1, le=4096, description="Virtual tokens.", json_schema_extra={"log": True})
    blocks: int = Field(2, ge=1, le=1024, description="How many of the last blocks get a prompt.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """p and g of every adapted block. Raises MethodError where there are too few blocks, or it is another model."""
    if anatomy.config["model_type"] not in ("llama", "gpt2"):
        raise MethodError(f"method 'adaption_prompt' is for llama and gpt2, not for a {anatomy.config['model_type']}.")
    if knobs.blocks > anatomy.blocks:
        raise MethodError(f"method.blocks must not exceed the model's blocks: {knobs.blocks} > {anatomy.blocks}.")
    shapes: Shapes = {}
    for block in range(knobs.blocks):
        shapes |= {f"{block}.p": (1, knobs.tokens, anatomy.width), f"{block}.g": (1,)}
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import AdaptionPromptConfig

    sizes(knobs, target.anatomy)
    return AdaptionPromptConfig(adapter_len=knobs.tokens, adapter_layers=knobs.blocks, task_type=target.task_type)
