"""A network beside a frozen model: it reads the model's hidden states and answers in the place of the last of them.

A method's file has, in torch's terms,

    build(knobs, width, depth) -> module           its parts; depth is the number of hidden states
    answer(knobs, parts, hidden, mask) -> last     hidden: depth x (samples, tokens, width)

What the model's head makes of that is the output. The gradient never enters the model: of it nothing is kept. With
`late` blocks, the answer stands in the place of what those are given: the gradient goes through them alone.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from gpu_jobs.anatomy import HEADS
from gpu_jobs.errors import MethodError

NAME = "side"


class Mask:
    """Which tokens may see which: padding is seen by none, and a decoder's token sees those up to itself."""

    def __init__(self, hidden: Tensor, attention_mask: Tensor | None, *, is_causal: bool) -> None:
        samples, tokens, _ = hidden.shape
        real = torch.ones(samples, tokens, device=hidden.device) if attention_mask is None else attention_mask.float()
        self.is_causal, self.real = is_causal, real
        pairs = torch.ones(tokens, tokens, device=hidden.device)
        self.pairs = (pairs.tril() if is_causal else pairs) * real[:, None, :]  # (samples, reader, read)

    def mean(self, features: Tensor) -> Tensor:
        """Over what is real: (samples, 1, width); of a decoder over all up to each token: (samples, tokens, width)."""
        if self.is_causal:
            return self.pairs @ features / self.pairs.sum(-1, keepdim=True).clamp(min=1)
        weights = self.real[..., None]
        return (features * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True).clamp(min=1)


class Side(nn.Module):
    """The parts of the network, and the hooks that put it beside the model."""

    def __init__(self, module: Any, knobs: Any, model: Any) -> None:
        super().__init__()
        self.module, self.knobs, self.handles = module, knobs, []  # type: ignore[var-annotated]
        self.late: int = getattr(knobs, "late", 0)
        self.parts = module.build(knobs, model.config.hidden_size, model.config.num_hidden_layers + 1 - self.late)
        self.is_causal = _is_causal(model)

    def check(self, backbone: Any, arguments: Any, options: dict[str, Any]) -> None:
        """Refuses a text that begins in a cache, and forgets what was seen of the last one."""
        cache = options.get("past_key_values")
        if cache is not None and cache.get_seq_length():
            name = self.knobs.name
            raise MethodError(f"method {name!r} reads the whole text at once: generate with use_cache=False.")
        self.seen: list[Tensor] = []
        self.mask: Tensor | None = options.get("attention_mask")

    def see(self, block: Any, arguments: Any) -> None:
        """What an early block is given."""
        self.seen.append(arguments[0])

    def replace(self, block: Any, arguments: Any) -> Any:
        """What the first late block is given instead."""
        hidden = [*self.seen, arguments[0]]
        self.seen = []
        mask = Mask(hidden[0], self.mask, is_causal=self.is_causal)
        return self.module.answer(self.knobs, self.parts, hidden, mask), *arguments[1:]

    def ask(self, backbone: Any, arguments: Any, options: dict[str, Any]) -> Any:
        """Makes the model say its hidden states."""
        self.check(backbone, arguments, options)
        return arguments, {**options, "output_hidden_states": True}

    def answer(self, backbone: Any, arguments: Any, options: dict[str, Any], output: Any) -> Any:
        """The model's output with the network's hidden state in the place of its last."""
        hidden = [*output.hidden_states[:-1], output.last_hidden_state]
        mask = Mask(hidden[0], options.get("attention_mask"), is_causal=self.is_causal)
        output.last_hidden_state = self.module.answer(self.knobs, self.parts, hidden, mask)
        if getattr(backbone, "pooler", None) is not None:
            output.pooler_output = backbone.pooler(output.last_hidden_state)
        output.hidden_states = None
        return output


def _is_causal(model: Any) -> bool:
    from gpu_jobs.engine.models import ENCODERS

    return model.config.model_type not in ENCODERS


def attach(knobs: Any, module: Any, model: Any) -> Any:
    """Puts a method's network beside the model, which is frozen but for a classifier's new head."""
    late, blocks = getattr(knobs, "late", 0), model.config.num_hidden_layers
    if late >= blocks:
        raise MethodError(f"method.late must be less than the blocks of the model: {late} of {blocks}.")
    model.requires_grad_(False)
    network = Side(module, knobs, model)
    network.handles = _among(network, model) if network.late else _behind(network, model)
    model.add_module(NAME, network)
    for name in HEADS:
        if hasattr(model, name):
            getattr(model, name).requires_grad_(True)
    return model


def _behind(network: Side, model: Any) -> list[Any]:
    """Hooks that answer for the whole model."""
    return [
        model.base_model.register_forward_pre_hook(network.ask, with_kwargs=True),
        model.base_model.register_forward_hook(network.answer, with_kwargs=True),
    ]


def _among(network: Side, model: Any) -> list[Any]:
    """Hooks that answer for the early blocks."""
    blocks = [layer for name, layer in model.named_modules() if re.search(r"(^|\.)(layers?|h)\.\d+$", name)]
    first = len(blocks) - network.late
    return [
        model.base_model.register_forward_pre_hook(network.check, with_kwargs=True),
        *(block.register_forward_pre_hook(network.see) for block in blocks[:first]),
        blocks[first].register_forward_pre_hook(network.replace),
    ]


def unload(model: Any) -> None:
    """Takes the network off, where there is one."""
    network = getattr(model, NAME, None)
    if isinstance(network, Side):
        for handle in network.handles:
            handle.remove()
        delattr(model, NAME)
