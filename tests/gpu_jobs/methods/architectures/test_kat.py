"""KAT: the rational functions, how they begin, and their slopes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from gpu_jobs import shapes, spec
from gpu_jobs.engine.architectures import load
from gpu_jobs.engine.architectures.kat import FUNCTIONS, KatConfig, KatFeedForward, Rational, fit, gain
from tests.gpu_jobs.methods.architectures.small import build, config, source
from tests.gpu_jobs.training import TINY


def rational(groups: int = 8, begins_as: str = "swish") -> Rational:
    made = Rational(groups, begins_as)
    made.initialise()
    return made


@pytest.mark.parametrize("name", ["identity", "swish"])
def test_an_activation_begins_as_its_function_to_a_thousandth(name: str) -> None:
    x = torch.linspace(-3, 3, 4000)[:, None].expand(-1, 16)
    assert float((rational(8, name)(x) - FUNCTIONS[name](x)).abs().max()) < 1e-3


def test_gelu_is_met_as_nearly_as_these_degrees_allow() -> None:
    x = torch.linspace(-3, 3, 4000)[:, None].expand(-1, 16)
    assert float((rational(8, "gelu")(x) - FUNCTIONS["gelu"](x)).abs().max()) < 3e-3


@pytest.mark.parametrize("name", ["swish", "gelu"])
def test_the_fit_is_a_minimum(name: str) -> None:
    """Moving any coefficient a little makes the squared error larger."""
    x = torch.linspace(-3, 3, 2001, dtype=torch.float64)[:, None]
    wanted, best = FUNCTIONS[name](x), rational(1).double()
    above, below = fit(name)
    with torch.no_grad():  # past float32
        best.numerator.copy_(torch.tensor(above, dtype=torch.float64))
        best.denominator.copy_(torch.tensor(below, dtype=torch.float64))
        least = float((best(x) - wanted).square().sum())
        for parameter, places in ((best.numerator, range(6)), (best.denominator[0], range(4))):
            for place in places:
                for change in (1e-3, -1e-3):
                    parameter[place] += change
                    assert float((best(x) - wanted).square().sum()) > least, (place, change)
                    parameter[place] -= change


def test_the_formula() -> None:
    made = rational(groups=2)
    with torch.no_grad():
        made.numerator.copy_(torch.tensor([1.0, -2, 0.5, 0, 0.25, -0.125]))
        made.denominator.copy_(torch.tensor([[0.5, -1, 2, 0], [-3.0, 0, 0.25, 1]]))
    x = torch.tensor([-2.0, 0.5, 3.0, -0.25])  # two channels in each group

    def phi(x: float, b: list[float]) -> float:
        above = 1 - 2 * x + 0.5 * x**2 + 0.25 * x**4 - 0.125 * x**5
        return above / (1 + sum(abs(each * x**power) for power, each in enumerate(b, start=1)))

    expected = [
        phi(-2, [0.5, -1, 2, 0]),
        phi(0.5, [0.5, -1, 2, 0]),
        phi(3, [-3, 0, 0.25, 1]),
        phi(-0.25, [-3, 0, 0.25, 1]),
    ]
    assert made(x).tolist() == pytest.approx(expected, rel=1e-6)


def test_the_denominator_is_never_below_one() -> None:
    made = rational(groups=4)
    with torch.no_grad():
        made.numerator.copy_(torch.tensor([1.0, 0, 0, 0, 0, 0]))  # so that the value is 1 / Q
        made.denominator.normal_(std=10)
    values = made(100 * torch.randn(500, 8))
    assert float(values.max()) <= 1 and float(values.min()) > 0


def test_slopes_are_those_of_finite_differences() -> None:
    made = rational(groups=2).double()
    with torch.no_grad():
        made.denominator.copy_(torch.tensor([[0.3, -0.2, 0.1, -0.4], [-0.1, 0.5, -0.3, 0.2]]))
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)

    def phi(x: torch.Tensor, numerator: torch.Tensor, denominator: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(made, {"numerator": numerator, "denominator": denominator}, (x,))

    assert torch.autograd.gradcheck(phi, (x, made.numerator, made.denominator))


def test_what_begins_at_zero_can_leave_it() -> None:
    made = rational(begins_as="identity")
    made(torch.randn(20, 16)).square().mean().backward()
    assert (made.denominator.detach() == 0).all()
    assert made.denominator.grad is not None and (made.denominator.grad != 0).all()


def test_an_activation_has_six_and_four_weights_a_group() -> None:
    found = shapes.parameters(config("kat", layers=3), "image_classification")
    assert found is not None
    each = {name: shape for name, shape in found.items() if ".inner." in name or ".outer." in name}
    assert shapes.count(each) == 3 * 2 * (6 + 8 * 4)
    assert sum(value.numel() for value in rational().parameters()) == 6 + 8 * 4


def test_the_gain_is_that_of_the_function() -> None:
    """1 / E[x^2] = 1 for the identity; the others within 4 standard errors of a mean over draws."""
    assert gain("identity") == pytest.approx(1)
    x = torch.randn(4_000_000, generator=torch.Generator().manual_seed(0))
    for name in ("swish", "gelu"):
        squares = FUNCTIONS[name](x).double().square()
        error = float(squares.std()) / 2000
        assert abs(1 / gain(name) - float(squares.mean())) < 4 * error


@pytest.mark.parametrize("activation", ["swish", "gelu"])
def test_a_layer_keeps_the_variance(activation: str) -> None:
    made = KatFeedForward(KatConfig(hidden_size=256, intermediate_size=1024, activation=activation))
    torch.manual_seed(0)
    for part in (made.inner, made.outer, made):
        part.initialise()
    torch.nn.init.zeros_(made.up_proj.bias)
    torch.nn.init.zeros_(made.down_proj.bias)
    with torch.no_grad():
        assert float(made(torch.randn(2000, 256)).var()) == pytest.approx(1, rel=0.1)


def test_a_new_model_begins_so_and_a_saved_one_does_not_begin_anew(tmp_path: Path) -> None:
    model = build("kat", "image_classification", activation="gelu")
    above, below = fit("gelu")
    outer = model.model.stack.layers[1].mlp.outer
    assert torch.allclose(outer.numerator, torch.tensor(above))
    assert torch.allclose(outer.denominator[7], torch.tensor(below))
    with torch.no_grad():
        outer.numerator += 1
    model.save_pretrained(tmp_path)
    loaded: Any = load(tmp_path)
    assert loaded.model.stack.layers[1].mlp.outer.numerator.equal(outer.numerator)


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"groups": 5}, "groups must divide width: 5 does not divide 32"),
        ({"ffn": 36}, "groups must divide ffn: 8 does not divide 36"),
        ({"patch_size": 3}, "image_size must be a multiple of patch_size: 8"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(knobs: dict[str, int], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec.parse({**TINY, "model": source("kat", **knobs)})
