"""Compacter: bottleneck adapters whose projections are sums of Kronecker products with shared small matrices.

    h <- h + f(h D + b_d) U + b_u        D = sum_{j <= n} A_j kron (s_j t_j^T), U likewise

(Karimi Mahabadi et al. 2021). The n matrices A_j (n, n) are shared by all adapters, the vectors s_j, t_j and the biases
belong to each: 3 (d + b) numbers an adapter. Adapters stand behind attention and feed-forward, in Compacter++ behind
the feed-forward alone; the model's norms are trained, too. f is GELU in its tanh form, A ~ N(0, 1e-4) as in the
authors' code; s and t begin Glorot-uniform (unchecked). It begins near the base model, not exactly at it, and can't be
merged. On T5-base this counts 0.073% for Compacter and 0.047% for Compacter++, which is the abstract's figure, norms
included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2106.04647"
LR = 3e-3
ANY_LAYER = True


class Knobs(registry.Knobs):
    name: Literal["compacter"]
    n: int = Field(4, ge=2, le=16, description="Terms of each sum, and size of the shared matrices.")
    reduction: int = Field(32, ge=2, le=128, description="d / b: how much narrower the inside is.")
    attention: bool = Field(True, description="Adapters behind attention, too. Off: Compacter++.")
    norms: bool = Field(True, description="Train the model's norms, too.", json_schema_extra={"advanced": True})


def targets(knobs: Knobs, model_type: str) -> str:
    """The layers that write to the residual stream, and the norms."""
    return ("outputs" if knobs.attention else "outputs&mlp") + ("+norms" if knobs.norms else "")


def inner(knobs: Knobs, width: int) -> int:
    """The width b inside: d / reduction, rounded down to a multiple of n, of which there is one at least."""
    if width % knobs.n:
        raise MethodError(f"method.n must divide the model's width, and {knobs.n} does not divide {width}.")
    return max(knobs.n, width // knobs.reduction // knobs.n * knobs.n)


def shapes(knobs: Knobs, width: int) -> Shapes:
    """Of one adapter, without A: n rows of s and t for D and U, and the biases."""
    n, narrow = knobs.n, inner(knobs, width)
    down = {"s_down": (n, width // n), "t_down": (n, narrow // n), "b_down": (narrow,)}
    return {**down, "s_up": (n, narrow // n), "t_up": (n, width // n), "b_up": (width,)}


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """n^3 shared, 3 (d + b) an adapter, and the norms."""
    found: Shapes = {"A": (knobs.n,) * 3}
    for layer in anatomy.layers("outputs" if knobs.attention else "outputs&mlp"):
        found |= {f"{layer.name}.{key}": shape for key, shape in shapes(knobs, anatomy.width).items()}
    norms = anatomy.norms() if knobs.norms else {}
    return found | {f"{name}.trained": shape for name, shape in norms.items()}  # beside the model's own, which stay


def share(knobs: Knobs, bases: Any, generator: Any) -> dict[str, Tensor]:
    """The matrices A (n, n, n)."""
    from gpu_jobs.engine.adapters.lowrank import normal

    return {"A": normal(knobs.n, knobs.n, knobs.n, std=1e-4, generator=generator)}


def init(knobs: Knobs, base: Any, generator: Any, shared: dict[str, Tensor]) -> dict[str, Tensor]:
    """An adapter; of a norm its own weight and bias."""
    import torch

    if not base.has_matrix:
        own = {"weight": base.weight, "bias": base.bias}
        return {name: torch.nn.Parameter(value.detach().clone()) for name, value in own.items() if value is not None}
    values = {"A": shared["A"]}
    for name, shape in shapes(knobs, base.width).items():
        value = torch.zeros(shape)
        if len(shape) == 2:  # each row is a vector: fan in and out are its length and 1
            bound = (6 / (shape[1] + 1)) ** 0.5
            value.uniform_(-bound, bound, generator=generator)
        values[name] = torch.nn.Parameter(value)
    return values


def product(a: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """sum_j A_j kron (s_j t_j^T): (n x rows, n x columns) of A (n, n, n), s (n, rows), t (n, columns)"""
    import torch

    n, rows, columns = len(a), s.shape[1], t.shape[1]
    return torch.einsum("jab,jc,jd->acbd", a, s, t).reshape(n * rows, n * columns)


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """The layer with the adapter behind it, or the norm with its trained weight."""
    from torch.nn import functional as F

    if "A" not in values:
        return base.apply(x, values["weight"], values.get("bias"))  # type: ignore[no-any-return]
    y = base(x)
    down = product(values["A"], values["s_down"], values["t_down"])  # (d, b)
    up = product(values["A"], values["s_up"], values["t_up"])  # (b, d)
    narrow = F.gelu(y @ down + values["b_down"], approximate="tanh")
    return y + narrow @ up + values["b_up"]  # type: ignore[no-any-return]
