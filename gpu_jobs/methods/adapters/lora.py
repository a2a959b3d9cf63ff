"""LoRA: low-rank updates beside frozen weights.

    h = W x + (alpha / r) B A x        A (r, in), B (out, r)

(Hu et al. 2021, equation 3). A is random and B zero, so that training begins at the base model exactly; with `rslora`
the factor is alpha / sqrt(r) (Kalajdzievski 2023, theorem 3.2). Merging adds (alpha / r) B A to W, and the model then
costs what the base costs. Through HF PEFT, in whose format it is saved. A classifier's new head is trained whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.errors import MethodError

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

PAPER = "https://arxiv.org/abs/2106.09685"
HEADS = ("score", "classifier")  # transformers' names for the layer on top of a classifier
_LLAMA = {"attention": r"self_attn\.[qkvo]_proj", "mlp": r"mlp\.(gate|up|down)_proj"}
GROUPS: dict[str, dict[str, str]] = {
    "llama": _LLAMA,
    "gpt2": {"attention": r"attn\.c_(attn|proj)", "mlp": r"mlp\.c_(fc|proj)"},
    "bert": {
        "attention": r"attention\.(self\.(query|key|value)|output\.dense)",
        "mlp": r"layer\.\d+\.(intermediate|output)\.dense",
    },
    "vit": {
        "attention": r"layers?\.\d+\.attention\.([qkvo]_proj|attention\.(query|key|value)|output\.dense)",
        "mlp": r"layers?\.\d+\.(mlp\.fc[12]|(intermediate|output)\.dense)",
    },
    "t5": {"attention": r"(SelfAttention|EncDecAttention)\.[qkvo]", "mlp": r"DenseReluDense\.w(i|i_0|i_1|o)"},
}
Shape = tuple[int, ...]
ModuleName = Annotated[str, Field(pattern=r"^[\w.]+$", max_length=200)]


class Knobs(registry.Knobs):
    name: Literal["lora"]
    rank: int = Field(8, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")
    targets: Literal["attention", "mlp", "all"] | list[ModuleName] = Field(
        "attention", description="Which layers get an update: a group, or the names of modules (q_proj, v_proj)."
    )
    rslora: bool = Field(
        False, description="Scale by alpha / sqrt(rank): large ranks learn too.", json_schema_extra={"advanced": True}
    )


def pattern(knobs: Knobs, model_type: str) -> str:
    """The regular expression that the full names of the adapted modules match. Unknown models are read like llama."""
    if not isinstance(knobs.targets, str):
        return rf"(.*\.)?({'|'.join(map(re.escape, knobs.targets))})"
    groups = GROUPS.get(model_type, _LLAMA)
    names = list(groups.values()) if knobs.targets == "all" else [groups[knobs.targets]]
    return rf"(.*\.)?({'|'.join(names)})"


def sizes(knobs: Knobs, shapes: Mapping[str, Shape], model_type: str) -> Iterator[tuple[str, Shape]]:
    """(weight, shape) of what is trained in a model whose parameters have these names and shapes: A, B and the head."""
    adapted = re.compile(pattern(knobs, model_type) + r"\.weight")
    for name, shape in shapes.items():
        if adapted.fullmatch(name) and len(shape) == 2:
            yield f"{name}.lora_A", (knobs.rank, shape[0])  # in and out are the other way round in Conv1D: same count
            yield f"{name}.lora_B", (shape[1], knobs.rank)
        elif name.split(".")[0] in HEADS:
            yield name, shape


def peft_config(knobs: Knobs, model: PreTrainedModel) -> PeftConfig:
    """PEFT's configuration for this model. Raises MethodError, naming the layers there are, when no target is found."""
    from peft import LoraConfig
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    adapted = re.compile(pattern(knobs, model.config.model_type))
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, (nn.Linear, Conv1D))}
    found = [layer for name, layer in layers.items() if adapted.fullmatch(name)]
    if not found:
        names = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
        raise MethodError(f"method.targets {knobs.targets!r} is in no layer of this model: choose among {names}.")
    return LoraConfig(
        r=knobs.rank,
        lora_alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        lora_dropout=knobs.dropout,
        target_modules=adapted.pattern,
        use_rslora=knobs.rslora,
        fan_in_fan_out=isinstance(found[0], Conv1D),
        modules_to_save=[name for name in HEADS if hasattr(model, name)] or None,
    )
