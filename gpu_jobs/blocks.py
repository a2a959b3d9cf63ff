"""Training some transformer blocks at a time: what strategies that choose among them share. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from gpu_jobs import contracts
from gpu_jobs.anatomy import block_of
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes, count

if TYPE_CHECKING:
    from torch import Generator, nn

    from gpu_jobs.engine.job import Job
    from gpu_jobs.spec import Training


class BlockHooks(contracts.Hooks):
    """`choose` says which blocks are trained; what stands in none, like embedding and head, always is."""

    def __init__(self, knobs: Any, model: nn.Module, spec: Training) -> None:
        super().__init__(knobs, model, spec)
        self.blocks: dict[int, list[nn.Parameter]] = {}
        for name, value in self.trained().items():
            block = block_of(name)
            if block is not None:
                self.blocks.setdefault(block, []).append(value)
        if not self.blocks:
            raise MethodError(
                f"method {knobs.name!r} chooses among transformer blocks, and nothing that is trained stands in one: "
                "choose an adapter that is put on layers."
            )
        self.chosen: list[int] = list(self.blocks)

    def begin(self, job: Job) -> None:
        super().begin(job)
        self.values = sum(value.numel() for value in self.trained().values())

    def choose(self, places: Iterable[int], *, forget: bool) -> None:
        """Trains the blocks at these places of `self.blocks`; `forget` drops the optimizer's state of the others."""
        numbers = list(self.blocks)
        self.chosen = sorted(numbers[place] for place in places)
        for block, parameters in self.blocks.items():
            for parameter in parameters:
                parameter.requires_grad_(block in self.chosen)
                if forget and block not in self.chosen:
                    self.job.optimizer.state.pop(parameter, None)

    def generator(self, number: int) -> Generator:
        """For draw `number`: from the run's seed, so that all ranks and a resumed run draw the same."""
        import torch

        return torch.Generator().manual_seed(self.spec.seed * 1_000_003 + number)

    def readings(self) -> dict[str, Any]:
        """Which blocks were trained in this step (1 or 0), and the share of all trained values that this is."""
        frozen = sum(p.numel() for block, values in self.blocks.items() if block not in self.chosen for p in values)
        return {f"active/block_{block}": float(block in self.chosen) for block in self.blocks} | {
            "active/share": 1 - frozen / self.values
        }


def split(trained: Shapes) -> tuple[Shapes, list[Shapes]]:
    """What stands in no block, and what stands in each."""
    blocks: dict[int, Shapes] = {}
    for name, shape in trained.items():
        block = block_of(name)
        if block is not None:
            blocks.setdefault(block, {})[name] = shape
    outside = {name: shape for name, shape in trained.items() if block_of(name) is None}
    return outside, list(blocks.values())


def largest(trained: Shapes, active: int) -> Shapes:
    """What is trained at once when the largest `active` blocks are."""
    outside, blocks = split(trained)
    for block in sorted(blocks, key=count, reverse=True)[:active]:
        outside = outside | block
    return outside


def backward(trained: Shapes, active: int, flops: Callable[[Shapes], int], *, to_the_input: bool) -> tuple[float, int]:
    """The backward that is to be expected with `active` of the blocks, all of them equally likely.

    The gradient goes down to the lowest of them, whose place among L is (L - active) / (active + 1) on average, or,
    where something in front of them is trained, too, to the input.
    """
    outside, blocks = split(trained)
    active = min(active, len(blocks))
    lowest = (len(blocks) - active) / (active + 1)
    through = 1.0 if to_the_input or not blocks else 1 - lowest / len(blocks)
    made = flops(outside) + sum(map(flops, blocks)) * active // max(1, len(blocks))
    return through, made
