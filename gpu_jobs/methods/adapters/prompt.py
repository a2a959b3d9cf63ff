"""Prompt tuning: trained embeddings before the text.

    input = [p_1; ...; p_n; e(x_1); ...]        p (n, width) trained, the model frozen

(Lester et al. 2021). They begin as embeddings of random tokens or normally distributed. They take room in
the context, and time: plans of FLOPs and memory count the text only. There is nothing to merge. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.hooks import VirtualTokens
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2104.08691"
LR = 3e-2
MERGES = False
STARTS_AT_BASE = False


class Knobs(registry.Knobs):
    name: Literal["prompt"]
    tokens: int = Field(8, ge=1, le=4096, description="Virtual tokens.", json_schema_extra={"log": True})
    start: Literal["vocabulary", "normal"] = Field("vocabulary", description="What the embeddings begin as.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """p. Raises MethodError for a model of images."""
    return {"p": (tokens(knobs, anatomy), anatomy.width)}


def tokens(knobs: Any, anatomy: Anatomy) -> int:
    """The virtual tokens. Raises MethodError for a model of images."""
    if anatomy.task == "image_classification":
        raise MethodError(f"method {knobs.name!r} puts tokens before a text: choose another for images.")
    return int(knobs.tokens)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import PromptTuningConfig

    return PromptTuningConfig(
        num_virtual_tokens=tokens(knobs, target.anatomy),
        prompt_tuning_init="SAMPLE_VOCAB" if knobs.start == "vocabulary" else "RANDOM",
        task_type=target.task_type,
    )


class Hooks(VirtualTokens):
    """Checks the context's length."""
