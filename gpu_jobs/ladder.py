"""A ladder of runs for a scaling law: sizes, tokens, learning rates, batches and costs. Free of torch and of numpy.

The largest rung stays `reach` times below the target budget. Learning rate and batch are those of the Step Law (Li et
al. 2025), whose N is without embeddings, head and norms; costs are 6 N D with that N. The law was fitted from about 60
million parameters up: for tiny models its rates are extrapolated, and high. They are told as the law has them (0.042 for
1e5 parameters and 2e6 tokens): what queues tiny models caps them. Which further run would narrow the fit most
is in `engine.laws.planning`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gpu_jobs.errors import MethodError
from gpu_jobs.methods.laws import step_law

HEAD = 64  # width of an attention head, where the model is wide enough
ASPECT = 64  # width over layers that shapes aim at
RATIOS = (5.0, 20.0, 80.0)  # tokens per parameter of a grid


@dataclass(frozen=True)
class Shape:
    """A llama of blocks of 4 h^2 + 3 h f weights. `parameters` are those: without embeddings, head and norms."""

    layers: int
    width: int
    heads: int
    ffn: int

    @property
    def parameters(self) -> int:
        return self.layers * (4 * self.width**2 + 3 * self.width * self.ffn)


@dataclass(frozen=True)
class Rung:
    """One run: `flops` is 6 N D; `batch_size` is in sequences, of which `steps` batches make `tokens`."""

    shape: Shape
    tokens: int
    lr: float
    batch_size: int
    steps: int
    sequence_length: int

    @property
    def parameters(self) -> int:
        return self.shape.parameters

    @property
    def flops(self) -> float:
        return 6.0 * self.parameters * self.tokens

    def facts(self) -> dict[str, Any]:
        """As plain values, with N, D and C."""
        sizes = {"N": self.parameters, "D": self.tokens, "C": self.flops}
        return {**sizes, **asdict(self)}


def shape(parameters: float) -> Shape:
    """The llama with nearly that many parameters outside embeddings whose width is nearest to 64 x its layers."""
    if parameters < 1000:
        raise MethodError(f"a model needs 1,000 parameters or more outside its embeddings: {parameters:g}")
    found = [_filled(parameters, layers) for layers in range(1, 161)]
    return min(found, key=lambda each: _misfit(each, parameters))


def _filled(parameters: float, layers: int) -> Shape:
    """The width that gives `layers` blocks the parameters, with a feed-forward layer of 8/3 of it."""
    step = 64 if parameters > 2e7 else 8
    width = max(step, round(math.sqrt(parameters / (12 * layers)) / step) * step)
    heads = next(
        count for count in range(max(1, width // HEAD), 0, -1) if width % count == 0 and width // count % 2 == 0
    )
    return Shape(layers, width, heads, -(-8 * width // 24) * 8)


def _misfit(found: Shape, parameters: float) -> float:
    """Distance in size, which counts ten times, and in aspect."""
    size = abs(math.log(found.parameters / parameters))
    aim = ASPECT if parameters > 2e7 else 24  # small models are deeper for their width
    return 10 * size + abs(math.log(found.width / (aim * found.layers)))


def rung(parameters: float, tokens: float, sequence_length: int = 1024) -> Rung:
    """One run of about that size and length, with the learning rate and batch of the Step Law."""
    if tokens < sequence_length:
        raise MethodError(f"tokens must be {sequence_length} or more, one sequence: {tokens:g}")
    built = shape(parameters)
    batch = max(1, min(round(step_law.batch_tokens(tokens) / sequence_length), int(tokens // sequence_length)))
    steps = max(1, round(tokens / (batch * sequence_length)))
    real = steps * batch * sequence_length
    return Rung(built, real, float(step_law.learning_rate(built.parameters, real)), batch, steps, sequence_length)


def grid(
    target: float, *, reach: float = 30.0, sizes: int = 4, ratios: Sequence[float] = RATIOS, sequence_length: int = 1024
) -> list[Rung]:
    """Sizes x tokens per parameter, cheapest first; the dearest costs `target` / `reach` FLOPs, sizes are 2 apart."""
    _check(target, reach)
    largest = math.sqrt(target / reach / (6 * max(ratios)))
    found = [
        rung(largest / 2**index, largest / 2**index * ratio, sequence_length)
        for index in range(sizes)
        for ratio in ratios
    ]
    return sorted(found, key=lambda each: each.flops)


def isoflop(
    target: float,
    *,
    reach: float = 30.0,
    budgets: int = 3,
    sizes: int = 5,
    ratio: float = 20.0,
    sequence_length: int = 1024,
) -> list[Rung]:
    """Slices of equal FLOPs, 4 times apart; sizes go from a quarter to 4 times the one with `ratio` tokens each."""
    _check(target, reach)
    if sizes < 3:
        raise MethodError(f"sizes must be 3 or more, for a parabola: {sizes}")
    found = []
    for index in range(budgets):
        budget = target / reach / 4**index
        middle = math.sqrt(budget / (6 * ratio))
        for place in range(sizes):
            size = middle * 4 ** (2 * place / (sizes - 1) - 1)
            found.append(rung(size, budget / (6 * shape(size).parameters), sequence_length))
    return sorted(found, key=lambda each: each.flops)


def total(rungs: Sequence[Rung]) -> float:
    """FLOPs of all of them."""
    return math.fsum(each.flops for each in rungs)


def _check(target: float, reach: float) -> None:
    if not (target > 0 and math.isfinite(target)):
        raise MethodError(f"target must be a positive number of FLOPs: {target}")
    if reach < 1:
        raise MethodError(f"reach must be 1 or more: {reach}")
