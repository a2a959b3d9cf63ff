"""Cartridge: a trained cache of keys and values, whose first tokens stay frozen.

    attention over [P_k; K] and [P_v; V]        P trained but for its first tokens

(Eyuboglu et al. 2025). The paper fills P with the cache of a long text and trains it to answer as the model with that
text does; here, as in HF PEFT without a text, it begins normally distributed and is trained on the run's own
objective. There is nothing to merge. Plans of FLOPs and memory count the text only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.hooks import VirtualTokens
from gpu_jobs.methods.adapters.prefix import key_values
from gpu_jobs.methods.adapters.prompt import tokens
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2506.06266"
LR = 1e-2
MERGES = False
STARTS_AT_BASE = False


class Knobs(registry.Knobs):
    name: Literal["cartridge"]
    tokens: int = Field(8, ge=1, le=4096, description="Virtual tokens.", json_schema_extra={"log": True})
    sinks: int = Field(1, ge=0, le=64, description="First tokens that stay frozen, for attention to rest on.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """What is trained of P. Raises MethodError where it is nothing, and for a model of images."""
    count = tokens(knobs, anatomy) - knobs.sinks
    if count < 1:
        raise MethodError(f"method.sinks must be below method.tokens: {knobs.sinks} and {knobs.tokens}.")
    return {"p": (count, key_values(anatomy))}


def frozen(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The first tokens of P."""
    return {"sinks": (knobs.sinks, key_values(anatomy))}


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import CartridgeConfig

    sizes(knobs, target.anatomy)
    return CartridgeConfig(num_virtual_tokens=knobs.tokens, num_frozen_tokens=knobs.sinks, task_type=target.task_type)


class Hooks(VirtualTokens):
    """Checks the context's length."""
