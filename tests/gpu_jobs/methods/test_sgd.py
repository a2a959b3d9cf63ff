"""SGD against its equation."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from gpu_jobs import registry
from tests.gpu_jobs.methods import optimizing

SGD = registry.methods("optimizers")["sgd"]


@pytest.mark.parametrize("nesterov", [False, True])
def test_it_follows_the_equation(nesterov: bool) -> None:
    start, given = torch.ones(3, 4), optimizing.gradients(4, 3, 4)
    weight, momentum = start.clone(), torch.zeros(3, 4)
    for raw in given:
        gradient = raw + 0.2 * weight
        momentum = 0.8 * momentum + gradient
        weight = weight - 0.1 * (gradient + 0.8 * momentum if nesterov else momentum)
    found = optimizing.trained("sgd", start, given, lr=0.1, momentum=0.8, nesterov=nesterov, weight_decay=0.2)
    torch.testing.assert_close(found, weight)


def test_vectors_do_not_decay() -> None:
    layer = nn.Linear(2, 2)
    optimizer = optimizing.build("sgd", layer, lr=0.1, weight_decay=1.0)
    before = layer.bias.detach().clone()
    layer.bias.grad = torch.zeros(2)
    optimizer.step()
    assert layer.bias.equal(before)


def test_without_momentum_it_keeps_nothing() -> None:
    layer = nn.Linear(2, 2)
    optimizer = optimizing.build("sgd", layer, momentum=0.0)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert not any(value is not None for state in optimizer.state.values() for value in state.values())
    assert SGD.module.state_bytes(SGD.knobs(name="sgd", momentum=0.0), {"weight": (2, 2)}) == 0  # type: ignore[call-arg]


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValidationError, match="nesterov needs a momentum above 0"):
        SGD.knobs(name="sgd", momentum=0, nesterov=True)  # type: ignore[call-arg]
