"""What a model is made of, as methods see it before it is built: its layers by group, and its head. Free of torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Config, Shapes, layers, width

ADAPTER_FILES = ("adapter_config.json", "hone_adapter.json")  # what makes a folder an adapter: PEFT's, and our own
HEADS = ("score", "classifier")  # transformers' names for the layer on top of a classifier
_LLAMA = {
    "attention": r"self_attn\.[qkvo]_proj",
    "mlp": r"mlp\.(gate|up|down)_proj",
    "outputs": r"(self_attn\.o_proj|mlp\.down_proj)",
    "ffn": r"layers\.\d+\.mlp",
    "self_attention": r"layers\.\d+\.self_attn",
    "attention_branch": r"layers\.\d+\.self_attn",
    "norms": r"(layers\.\d+\.(input|post_attention)_layernorm|model\.norm)",
    "embedding": r"embed_tokens",
}
GROUPS: dict[str, dict[str, str]] = {
    "llama": _LLAMA,
    "gpt2": {
        "attention": r"attn\.c_(attn|proj)",
        "mlp": r"mlp\.c_(fc|proj)",
        "outputs": r"(attn|mlp)\.c_proj",
        "ffn": r"h\.\d+\.mlp",
        "self_attention": r"h\.\d+\.attn",
        "attention_branch": r"h\.\d+\.attn",
        "norms": r"(h\.\d+\.ln_[12]|ln_f)",
        "embedding": r"wte",
    },
    "bert": {
        "attention": r"attention\.(self\.(query|key|value)|output\.dense)",
        "mlp": r"layer\.\d+\.(intermediate|output)\.dense",
        "outputs": r"layer\.\d+\.(attention\.)?output\.dense",
        "ffn": r"layer\.\d+\.output",  # its second half, which is given the input of the first, too
        "self_attention": r"layer\.\d+\.attention\.self",
        "attention_branch": r"layer\.\d+\.attention\.output",  # likewise
        "norms": r".*LayerNorm",
        "embedding": r"word_embeddings",
    },
    "vit": {
        "attention": r"layers?\.\d+\.attention\.([qkvo]_proj|attention\.(query|key|value)|output\.dense)",
        "mlp": r"layers?\.\d+\.(mlp\.fc[12]|(intermediate|output)\.dense)",
        "outputs": r"layers?\.\d+\.(attention\.(o_proj|output\.dense)|mlp\.fc2|output\.dense)",
        "ffn": r"layers\.\d+\.mlp",
        "self_attention": r"layers\.\d+\.attention",
        "attention_branch": r"layers\.\d+\.attention",
        "norms": r"(layers?\.\d+\.layernorm_(before|after)|vit\.layernorm)",
        "embedding": r"patch_embeddings\.projection",
    },
    "t5": {
        "attention": r"(SelfAttention|EncDecAttention)\.[qkvo]",
        "mlp": r"DenseReluDense\.w(i|i_0|i_1|o)",
        "outputs": r"((SelfAttention|EncDecAttention)\.o|DenseReluDense\.wo)",
        "ffn": r"DenseReluDense",
        "norms": r"(layer_norm|final_layer_norm)",
        "embedding": r"shared",
    },
}
BLOCK = re.compile(r"(?:^|\.)(?:layers?|h|block)\.(\d+)\.")  # where a name says which block it is in

ModuleName = Annotated[str, Field(pattern=r"^[\w.]+$", max_length=200)]
Targets = Literal["attention", "mlp", "all"] | list[ModuleName]


def block_of(name: str) -> int | None:
    """The number of the transformer block that a module or weight of this name stands in."""
    found = BLOCK.search(name)
    return int(found.group(1)) if found else None


class AdapterKnobs(registry.Knobs):
    """What every adapter that is put on layers can be asked."""

    targets: Targets = Field(
        "attention", description="Which layers get an update: a group, or the names of modules (q_proj, v_proj)."
    )


class Layer(NamedTuple):
    """A layer with a matrix. `name` is the module's full name; a convolution's inputs are channels x kernel size."""

    name: str
    inputs: int
    outputs: int

    @property
    def block(self) -> int | None:
        """The transformer block it stands in."""
        return block_of(self.name)


@dataclass(frozen=True)
class Anatomy:
    """A model by its config and the names and shapes of its weights."""

    config: Config
    shapes: Shapes
    task: str = "causal_lm"

    @property
    def width(self) -> int:
        """Size of the residual stream."""
        return width(self.config)

    @property
    def blocks(self) -> int:
        """Transformer blocks."""
        return layers(self.config)

    def layers(self, targets: str | Sequence[str]) -> list[Layer]:
        """The layers that `targets` names: a group of `GROUPS`, "all" for attention and mlp, or module names."""
        adapted = re.compile(pattern(targets, self.config["model_type"]))
        named = ((name.removesuffix(".weight"), shape) for name, shape in self.shapes.items())
        return [self._layer(name, shape) for name, shape in named if len(shape) >= 2 and adapted.fullmatch(name)]

    def _layer(self, name: str, shape: tuple[int, ...]) -> Layer:
        if self.config["model_type"] == "gpt2" and re.search(r"\.c_(attn|proj|fc)$", name):
            return Layer(name, shape[0], shape[1])  # Conv1D is stored the other way round
        inputs = 1
        for size in shape[1:]:
            inputs *= size
        return Layer(name, inputs, shape[0])

    def channels(self, targets: str) -> dict[str, int]:
        """Output channels of every adapted layer with a weight, norms too, by the layer's name."""
        adapted = re.compile(pattern(targets, self.config["model_type"]))
        weights = {
            name.removesuffix(".weight"): shape for name, shape in self.shapes.items() if name.endswith("weight")
        }
        found = {name: shape for name, shape in weights.items() if adapted.fullmatch(name)}
        return {name: self._layer(name, shape).outputs if len(shape) > 1 else shape[0] for name, shape in found.items()}

    def norms(self) -> Shapes:
        """Names and shapes of the weights and biases of all norms."""
        adapted = re.compile(pattern("norms", self.config["model_type"]))
        return {name: shape for name, shape in self.shapes.items() if adapted.fullmatch(name.rpartition(".")[0])}

    def head(self) -> Shapes:
        """What is trained whole beside an adapter: a classifier's new head."""
        return {name: shape for name, shape in self.shapes.items() if name.split(".")[0] in HEADS}


def pattern(targets: str | Sequence[str], model_type: str) -> str:
    """The regular expression that the full names of the meant modules match. Unknown models are read like llama.

    A group, the layers of either ("attention+norms") or of both ("attention&outputs"), or a list of module names.
    Raises MethodError for a group that this architecture doesn't have.
    """
    if not isinstance(targets, str):
        return rf"(.*\.)?({'|'.join(map(re.escape, targets))})"
    either = "attention+mlp" if targets == "all" else targets
    return "|".join(f"(?:{_both(part, model_type)})" for part in either.split("+"))


def _both(targets: str, model_type: str) -> str:
    groups, names = GROUPS.get(model_type, _LLAMA), targets.split("&")
    for name in names:
        if name not in groups:
            raise MethodError(f"a {model_type} has no layers of the group {name!r}: there are {', '.join(groups)}.")
    *first, last = (rf"(?:.*\.)?(?:{groups[name]})" for name in names)
    return "".join(f"(?={other}$)" for other in first) + last


def adapter_of(knobs: Any) -> registry.Knobs | None:
    """The adapter that a method puts on the model: itself, or the one that a strategy is asked to train."""
    if registry.method_of(knobs).family == "adapters":
        return knobs  # type: ignore[no-any-return]
    found: registry.Knobs | None = getattr(knobs, "adapter", None)
    return found
