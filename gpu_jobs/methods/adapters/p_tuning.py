"""P-tuning: embeddings before the text, made by a small trained network.

    input = [f(p_1); ...; f(p_n); e(x_1); ...]        f two hidden layers with ReLU; p (n, width) and f trained

(Liu et al. 2021, with the MLP that HF PEFT has instead of an LSTM). What is saved is f(p): the network is
only there for training. There is nothing to merge. Plans of FLOPs and memory count the text only.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.hooks import VirtualTokens
from gpu_jobs.methods.adapters.prompt import tokens
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2103.10385"
LR = 1e-3
MERGES = False
STARTS_AT_BASE = False


class Knobs(registry.Knobs):
    name: Literal["p_tuning"]
    tokens: int = Field(8, ge=1, le=4096, description="Virtual tokens.", json_schema_extra={"log": True})
    hidden: int = Field(128, ge=1, le=65536, description="Width of f's hidden layers.", json_schema_extra={"log": True})


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """p and the three layers of f. Raises MethodError for a model of images."""
    shapes: Shapes = {"p": (tokens(knobs, anatomy), anatomy.width)}
    sides = [anatomy.width, knobs.hidden, knobs.hidden, anatomy.width]
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sides)):
        shapes |= {f"f.{number}.weight": (outputs, inputs), f"f.{number}.bias": (outputs,)}
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import PromptEncoderConfig

    return PromptEncoderConfig(
        num_virtual_tokens=tokens(knobs, target.anatomy),
        encoder_hidden_size=knobs.hidden,
        task_type=target.task_type,
    )


class Hooks(VirtualTokens):
    """Checks the context's length."""
