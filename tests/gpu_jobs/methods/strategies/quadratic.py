"""A loss whose gradient is known everywhere, for the tests of methods that only see its values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gpu_jobs import registry
from gpu_jobs.contracts import Step
from tests.gpu_jobs.methods.strategies import jobs


class Quadratic(nn.Module):
    """L(x) = x^T A x / 2 + b^T x, x all parameters in a row; float64."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(5)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=random, dtype=torch.float64)

        self.matrix, self.bias = nn.Parameter(normal(2, 3)), nn.Parameter(normal(2))
        root = normal(8, 8)
        self.a, self.b = root @ root.T / 8, normal(8)

    @property
    def x(self) -> Tensor:
        return torch.cat([self.matrix.flatten(), self.bias])

    def loss(self) -> Tensor:
        return self.x @ self.a @ self.x / 2 + self.b @ self.x

    @property
    def gradient(self) -> Tensor:
        return (self.a @ self.x + self.b).detach()

    def step(self, number: int = 0, rate: float = 0.0) -> Step:
        def forward() -> Tensor:
            with torch.no_grad():
                return self.loss()

        return Step(number, rate, never, forward)


def never() -> Tensor:
    raise AssertionError("it went backward")


def hooks(method: dict[str, Any], model: nn.Module, **changes: Any) -> Any:
    """The method's hooks on this model."""
    spec = jobs.asked(method, {"optimizer": {"name": "adamw", "weight_decay": 0}, **changes})
    return registry.method_of(spec.method).module.Hooks(spec.method, model, spec)


def estimates(found: Any, model: Quadratic, draws: int) -> Tensor:
    """(draws, 8): what the method takes for the gradient in each of so many steps that all begin here."""
    rows = []
    with torch.no_grad():
        for number in range(draws):
            found.gradients(model.step(number))
            parts = [found.estimate(place, value).flatten() for place, value in enumerate(model.parameters())]
            rows.append(torch.cat(parts))
    return torch.stack(rows)


def is_unbiased(drawn: Tensor, expected: Tensor) -> bool:
    """Whether the mean lies within four standard errors of what is expected, in each coordinate."""
    error = drawn.std(0) / len(drawn) ** 0.5
    return bool(((drawn.mean(0) - expected).abs() <= 4 * error).all())
