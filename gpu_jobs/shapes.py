"""The name and shape of every weight of an architecture, from its config alone. Free of torch: plans count these.

Names are transformers' own, and a tied weight stands once, as in `model.named_parameters()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpu_jobs import registry

Shape = tuple[int, ...]
Shapes = dict[str, Shape]
Config = Mapping[str, Any]  # the fields of config.json, with transformers' defaults where they are left out


def parameters(config: Config, task: str) -> Shapes | None:
    """Every weight of the model that serves `task`; None for an architecture that is not known here."""
    found = _ARCHITECTURES.get(config["model_type"])
    if found:
        return found(config, task)
    own = architecture(config)
    return own.shapes(config, task) if own else None


def architecture(config: Config) -> Any:
    """The file of `methods/architectures` that this model is of, or None."""
    found = registry.methods("architectures").get(config["model_type"])
    return found.module if found else None


def count(shapes: Mapping[str, Shape]) -> int:
    """How many values these weights hold."""
    return sum(size(shape) for shape in shapes.values())


def size(shape: Shape) -> int:
    """The product of the dimensions."""
    total = 1
    for dimension in shape:
        total *= dimension
    return total


_TABLES_AND_HEADS = {"wte", "wpe", "shared", "relative_attention_bias", "lm_head", "score", "classifier", "denominator"}


def is_hidden_matrix(name: str, shape: Shape) -> bool:
    """Whether a weight maps one hidden state to another: two dimensions, and no embedding or output layer by name."""
    parts = name.split(".")
    return len(shape) == 2 and not any("embed" in part or part in _TABLES_AND_HEADS for part in parts)


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> Shapes:
    """torch's linear layer."""
    return {f"{name}.weight": (outputs, inputs)} | ({f"{name}.bias": (outputs,)} if bias else {})


def _conv1d(name: str, inputs: int, outputs: int) -> Shapes:
    """GPT-2's linear layer, stored the other way round."""
    return {f"{name}.weight": (inputs, outputs), f"{name}.bias": (outputs,)}


def layer_norm(name: str, width: int) -> Shapes:
    """torch's layer norm."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _head(config: Config, task: str, width: int, *, tied: bool) -> Shapes:
    """The output layer of a decoder: over the vocabulary, or over the labels."""
    if task == "causal_lm":
        return {} if tied else {"lm_head.weight": (config["vocab_size"], width)}
    return {"score.weight": (config.get("num_labels", 2), width)}


def _llama(config: Config, task: str) -> Shapes:
    width, heads = config["hidden_size"], config["num_attention_heads"]
    head = config.get("head_dim") or width // heads
    kv = (config.get("num_key_value_heads") or heads) * head
    shapes: Shapes = {"model.embed_tokens.weight": (config["vocab_size"], width)}
    for layer in range(config["num_hidden_layers"]):
        at, bias, ffn = f"model.layers.{layer}", config.get("attention_bias", False), config["intermediate_size"]
        shapes |= linear(f"{at}.self_attn.q_proj", width, heads * head, bias)
        shapes |= linear(f"{at}.self_attn.k_proj", width, kv, bias)
        shapes |= linear(f"{at}.self_attn.v_proj", width, kv, bias)
        shapes |= linear(f"{at}.self_attn.o_proj", heads * head, width, bias)
        shapes |= linear(f"{at}.mlp.gate_proj", width, ffn, config.get("mlp_bias", False))
        shapes |= linear(f"{at}.mlp.up_proj", width, ffn, config.get("mlp_bias", False))
        shapes |= linear(f"{at}.mlp.down_proj", ffn, width, config.get("mlp_bias", False))
        shapes |= {f"{at}.input_layernorm.weight": (width,), f"{at}.post_attention_layernorm.weight": (width,)}
    shapes["model.norm.weight"] = (width,)
    return shapes | _head(config, task, width, tied=config.get("tie_word_embeddings", False))


def _gpt2(config: Config, task: str) -> Shapes:
    width, ffn = config["n_embd"], config.get("n_inner") or 4 * config["n_embd"]
    shapes: Shapes = {"transformer.wte.weight": (config["vocab_size"], width)}
    shapes["transformer.wpe.weight"] = (config["n_positions"], width)
    for layer in range(config["n_layer"]):
        at = f"transformer.h.{layer}"
        shapes |= layer_norm(f"{at}.ln_1", width) | layer_norm(f"{at}.ln_2", width)
        shapes |= _conv1d(f"{at}.attn.c_attn", width, 3 * width) | _conv1d(f"{at}.attn.c_proj", width, width)
        shapes |= _conv1d(f"{at}.mlp.c_fc", width, ffn) | _conv1d(f"{at}.mlp.c_proj", ffn, width)
    shapes |= layer_norm("transformer.ln_f", width)
    return shapes | _head(config, task, width, tied=config.get("tie_word_embeddings", True))


def _bert(config: Config, task: str) -> Shapes:
    width, ffn, at = config["hidden_size"], config["intermediate_size"], "bert.embeddings"
    shapes: Shapes = {f"{at}.word_embeddings.weight": (config["vocab_size"], width)}
    shapes[f"{at}.position_embeddings.weight"] = (config["max_position_embeddings"], width)
    shapes[f"{at}.token_type_embeddings.weight"] = (config.get("type_vocab_size", 2), width)
    shapes |= layer_norm(f"{at}.LayerNorm", width)
    for layer in range(config["num_hidden_layers"]):
        at = f"bert.encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= linear(f"{at}.attention.{part}", width, width)
        shapes |= layer_norm(f"{at}.attention.output.LayerNorm", width) | layer_norm(f"{at}.output.LayerNorm", width)
        shapes |= linear(f"{at}.intermediate.dense", width, ffn) | linear(f"{at}.output.dense", ffn, width)
    if task == "masked_lm":
        return shapes | _mask_head(config, width)
    shapes |= linear("bert.pooler.dense", width, width)
    return shapes | linear("classifier", width, config.get("num_labels", 2))


def _mask_head(config: Config, width: int) -> Shapes:
    """BERT's output over the vocabulary: a layer more, and a bias of the tied table."""
    at, vocab = "cls.predictions", config["vocab_size"]
    shapes = {f"{at}.bias": (vocab,)} | linear(f"{at}.transform.dense", width, width)
    shapes |= layer_norm(f"{at}.transform.LayerNorm", width)
    return shapes if config.get("tie_word_embeddings", True) else shapes | linear(f"{at}.decoder", width, vocab)


def _vit(config: Config, task: str) -> Shapes:
    width, ffn, patch = config["hidden_size"], config["intermediate_size"], config["patch_size"]
    shapes: Shapes = {"vit.embeddings.cls_token": (1, 1, width)}
    shapes["vit.embeddings.position_embeddings"] = (1, positions(config), width)
    shapes["vit.embeddings.patch_embeddings.projection.weight"] = (width, config["num_channels"], patch, patch)
    shapes["vit.embeddings.patch_embeddings.projection.bias"] = (width,)
    for layer in range(config["num_hidden_layers"]):
        at = f"vit.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            shapes |= linear(f"{at}.attention.{part}", width, width, config.get("qkv_bias", True) or part == "o_proj")
        shapes |= layer_norm(f"{at}.layernorm_before", width) | layer_norm(f"{at}.layernorm_after", width)
        shapes |= linear(f"{at}.mlp.fc1", width, ffn) | linear(f"{at}.mlp.fc2", ffn, width)
    shapes |= layer_norm("vit.layernorm", width)
    return shapes | linear("classifier", width, config.get("num_labels", 2))


def attention(at: str, config: Config) -> Shapes:
    """A llama's attention with as many key/value heads as heads."""
    width, bias = config["hidden_size"], config.get("attention_bias", False)
    found = [linear(f"{at}.{part}_proj", width, width, bias) for part in "qkvo"]
    return {name: shape for each in found for name, shape in each.items()}


def gated_mlp(at: str, config: Config) -> Shapes:
    """A llama's feed-forward layer."""
    width, ffn = config["hidden_size"], config["intermediate_size"]
    wide = linear(f"{at}.gate_proj", width, ffn, bias=False) | linear(f"{at}.up_proj", width, ffn, bias=False)
    return wide | linear(f"{at}.down_proj", ffn, width, bias=False)


def decoder_layer(at: str, config: Config) -> Shapes:
    """A llama's block, as our own architectures use it."""
    norms = {f"{at}.{name}_layernorm.weight": (config["hidden_size"],) for name in ("input", "post_attention")}
    return attention(f"{at}.self_attn", config) | gated_mlp(f"{at}.mlp", config) | norms


def text_model(config: Config, task: str, stack: Shapes) -> Shapes:
    """One of our own architectures around its stack of blocks: embedding, last norm, and the head of the task."""
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], config["hidden_size"])} | stack
    tied = config.get("tie_word_embeddings", False)
    return shapes | _last_norm(config) | _head(config, task, config["hidden_size"], tied=tied)


def image_model(config: Config, task: str, stack: Shapes) -> Shapes:
    """One of our own architectures as a ViT: patches, class token, learned positions, and a class head."""
    width, patch, at = config["hidden_size"], config["patch_size"], "model.embeddings"
    shapes: Shapes = {f"{at}.cls_token": (1, 1, width), f"{at}.position_embeddings": (1, positions(config), width)}
    shapes[f"{at}.patch_embeddings.projection.weight"] = (width, config["num_channels"], patch, patch)
    shapes[f"{at}.patch_embeddings.projection.bias"] = (width,)
    return shapes | stack | _last_norm(config) | linear("classifier", width, config.get("num_labels", 2))


def _last_norm(config: Config) -> Shapes:
    width = config["hidden_size"]
    return layer_norm("model.norm", width) if config.get("norm") == "layer" else {"model.norm.weight": (width,)}


def layers(config: Config) -> int:
    """Transformer blocks."""
    return int(config.get("num_hidden_layers") or config["n_layer"])


def width(config: Config) -> int:
    """Size of the residual stream."""
    return int(config.get("hidden_size") or config["n_embd"])


def heads(config: Config) -> int:
    """Attention heads of a layer."""
    return int(config.get("num_attention_heads") or config["n_head"])


def attention_width(config: Config) -> int:
    """Heads x head size: what attention works on, mostly the width of the model."""
    return heads(config) * int(config.get("head_dim") or width(config) // heads(config))


def positions(config: Config) -> int:
    """Tokens that a ViT makes of one image: its patches and the class token."""
    return int((config["image_size"] // config["patch_size"]) ** 2 + 1)


_ARCHITECTURES: dict[str, Callable[[Config, str], Shapes]] = {
    "llama": _llama,
    "gpt2": _gpt2,
    "bert": _bert,
    "vit": _vit,
}
