"""Kolmogorov-Arnold Transformer, as `methods/architectures/kat.py` describes it."""

# mypy: disable-error-code="no-untyped-call"
# transformers annotates little of what is built on here.

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from scipy import optimize
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.models.llama.modeling_llama import LlamaAttention

from gpu_jobs.engine.architectures.blocks import Attending, Config, Routed
from gpu_jobs.engine.architectures.models import classes
from gpu_jobs.methods.architectures.kat import DENOMINATOR, NUMERATOR, TASKS

Floats: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
FITTED = 3.0  # activations are fitted on [-3, 3]
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"identity": lambda x: x, "swish": F.silu, "gelu": F.gelu}


class KatConfig(Config):
    model_type = "kat"

    norm: str = "layer"
    attention_bias: bool = True
    groups: int = 8
    activation: str = "swish"


@functools.cache
def fit(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(a, b) of the rational function nearest to FUNCTIONS[name]: least squares on an even grid, with b >= 0.

    Largest error on [-3, 3]: none for the identity, 1.2e-6 for Swish, 2.9e-3 for GELU.
    """
    if name == "identity":
        return (0.0, 1.0, *[0.0] * (NUMERATOR - 2)), (0.0,) * DENOMINATOR
    x = np.linspace(-FITTED, FITTED, 2001)
    wanted = FUNCTIONS[name](torch.from_numpy(x)).numpy()
    above, below = x[:, None] ** np.arange(NUMERATOR), np.abs(x)[:, None] ** np.arange(1, DENOMINATOR + 1)

    def error(found: Floats) -> Floats:
        distance: Floats = above @ found[:NUMERATOR] / (1 + below @ found[NUMERATOR:]) - wanted
        return distance

    def slopes(found: Floats) -> Floats:
        divisor = (1 + below @ found[NUMERATOR:])[:, None]
        value = (above @ found[:NUMERATOR])[:, None] / divisor
        return np.concatenate([above / divisor, -value * below / divisor], 1)

    start, bounds = np.zeros(NUMERATOR + DENOMINATOR), np.array([-np.inf] * NUMERATOR + [0.0] * DENOMINATOR)
    close = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
    best = optimize.least_squares(error, start, slopes, bounds=(bounds, np.inf), max_nfev=1000, **close).x
    return tuple(best[:NUMERATOR].tolist()), tuple(best[NUMERATOR:].tolist())


@functools.cache
def gain(name: str) -> float:
    """1 / E[f(x)^2] for x ~ N(0, 1), by the trapezoidal rule: the variance that a sum of f(x) must be given."""
    x = torch.linspace(-12, 12, 24001, dtype=torch.float64)
    density = (-x.square() / 2).exp() / math.sqrt(2 * math.pi)
    return 1 / float(torch.trapezoid(FUNCTIONS[name](x).square() * density, x))


class Rational(nn.Module):
    """phi, for channels in groups."""

    def __init__(self, groups: int, begins_as: str) -> None:
        super().__init__()
        self.begins_as = begins_as
        self.numerator = nn.Parameter(torch.empty(NUMERATOR))
        self.denominator = nn.Parameter(torch.empty(groups, DENOMINATOR))

    def initialise(self) -> None:
        """Sets a and b to what was fitted."""
        above, below = fit(self.begins_as)
        init.copy_(self.numerator, torch.tensor(above).to(self.numerator))
        init.copy_(self.denominator, torch.tensor(below).to(self.denominator).expand_as(self.denominator))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(-1, (len(self.denominator), -1))
        above = torch.zeros_like(wide)
        for a in self.numerator.flip(0):
            above = above * wide + a
        sign = torch.where(self.denominator < 0, -1.0, 1.0).to(self.denominator)  # the slope of |b|, 1 at 0
        size, below = wide.abs(), torch.zeros_like(wide)
        for b in (self.denominator * sign).unbind(-1)[::-1]:  # (groups,)
            below = (below + b[:, None]) * size
        return (above / (1 + below)).flatten(-2).to(x.dtype)


class KatFeedForward(nn.Module):
    """Rational, linear, rational, linear."""

    def __init__(self, config: KatConfig) -> None:
        super().__init__()
        self.inner = Rational(config.groups, "identity")
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.outer = Rational(config.groups, config.activation)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size)

    def initialise(self) -> None:
        """Draws the matrices so that what comes out varies as much as what goes in."""
        for linear, rational in ((self.up_proj, self.inner), (self.down_proj, self.outer)):
            init.normal_(linear.weight, std=math.sqrt(gain(rational.begins_as) / linear.in_features))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(self.outer(self.up_proj(self.inner(x))))
        return out


class KatLayer(GradientCheckpointingLayer):
    """A pre-norm block."""

    def __init__(self, config: KatConfig, number: int) -> None:
        super().__init__()
        self.self_attn = LlamaAttention(config, number)
        self.mlp = KatFeedForward(config)
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, attending: Attending) -> Tensor:
        self.self_attn.is_causal = attending.order is not None
        x = x + self.self_attn(self.input_layernorm(x), **attending.arguments())[0]
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class KatStack(nn.Module):
    """Blocks one after the other."""

    def __init__(self, config: KatConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(KatLayer(config, number) for number in range(config.num_hidden_layers))

    def forward(self, x: Tensor, attending: Attending) -> Routed:
        for layer in self.layers:
            x = layer(x, attending)
        return Routed(x)


CLASSES = classes("Kat", KatConfig, KatStack, TASKS)
