"""IST: trains the layers' adapters that matter, which short trials tell.

    every K steps, R trials   the updates of some blocks are scaled down, all by `scale`;  reward = exp(-loss) - mean
                              score_l += rate reward p_l (1 - p_l),  p = sigmoid(score),  for blocks l that were
    each step                 ceil(share L) blocks are trained, drawn without replacement by sigmoid(-score)

(Yao et al. 2024, "Layer-wise Importance Matters"; numbers as in the authors' released code). A block whose suppression
raises the loss gets a low score, and is then drawn more often. What an adapter adds to a layer's output is scaled, so
that any adapter works that stands on layers; trials are forwards on the step's batch, without dropout, and change no
weight. The optimizer keeps its state of blocks that rest. What stands in no block, like a classifier's head, is always
trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import blocks, contracts, registry
from gpu_jobs.adaptable import AdapterChoice
from gpu_jobs.anatomy import Anatomy, block_of
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes, count

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job

PAPER = "https://arxiv.org/abs/2410.11772"
IS_PARTIAL = True
PARALLEL = ("ddp",)  # fsdp decides what has gradients when it shares the model out
LR = 2e-4


class Knobs(registry.Knobs):
    name: Literal["ist"]
    adapter: AdapterChoice = Field(
        {"name": "lora"}, validate_default=True, description="The adapter whose layers are chosen."
    )
    share: float = Field(0.25, ge=0.01, le=1, description="Share of the blocks that a step trains.")
    every: int = Field(10, ge=1, le=100_000, description="Steps between trials.", json_schema_extra={"log": True})
    trials: int = Field(3, ge=2, le=64, description="Trials each time; each costs a forward.")
    suppressed: float = Field(0.5, gt=0, lt=1, description="Share of the blocks that a trial scales down.")
    scale: float = Field(0.25, ge=0, lt=1, description="What is left of their updates.")
    rate: float = Field(10.0, gt=0, le=1e4, description="Length of the scores' steps.", json_schema_extra={"log": True})


def setup(knobs: Knobs, model: nn.Module) -> nn.Module:
    """The adapter is what may be trained."""
    return model


def flops(knobs: Knobs, forward: int, backward: int) -> int:
    """Trials are forwards, in which suppressed layers also compute what they would without their adapter."""
    return forward + backward + int(forward * knobs.trials * (1 + knobs.suppressed) / knobs.every)


def backward(knobs: Knobs, anatomy: Anatomy, trained: Shapes, flops: Callable[[Shapes], int]) -> tuple[float, int]:
    """To the lowest block that was drawn, if all are equally likely."""
    active = math.ceil(knobs.share * len(blocks.split(trained)[1]))
    return blocks.backward(trained, active, flops, to_the_input=False)


def memory(knobs: Knobs, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """Gradients of the blocks of the moment."""
    active = math.ceil(knobs.share * len(blocks.split(trained)[1]))
    return {"gradients": 4 * count(blocks.largest(trained, active))}


class Hooks(blocks.BlockHooks):
    """Tries, scores and draws."""

    def begin(self, job: Job) -> None:
        import torch

        super().begin(job)
        self.scores = torch.zeros(len(self.blocks), dtype=torch.float64)
        self.layers = self._layers()
        if not self.layers:
            raise MethodError("method 'ist' scales what an adapter adds to layers: choose one that is put on layers.")

    def _layers(self) -> dict[int, list[Any]]:
        """The adapted layers of each block."""
        from peft.tuners.tuners_utils import BaseTunerLayer

        from gpu_jobs.engine.adapters.host import AdaptedLayer

        found: dict[int, list[Any]] = {}
        for name, layer in self.model.named_modules():
            block = block_of(f"{name}.")
            if isinstance(layer, (AdaptedLayer, BaseTunerLayer)) and block in self.blocks:
                found.setdefault(block, []).append(layer)
        return found

    def before_step(self, step: contracts.Step) -> None:
        import torch

        if step.number % self.knobs.every == 0:
            self.try_out(step)
        active = math.ceil(self.knobs.share * len(self.blocks))
        drawn = torch.multinomial(torch.sigmoid(-self.scores), active, generator=self.generator(step.number))
        self.choose(drawn.tolist(), forget=False)

    def try_out(self, step: contracts.Step) -> None:
        """Moves the scores by the rewards of a few trials."""
        import torch

        count = max(1, round(self.knobs.suppressed * len(self.blocks)))
        generator = self.generator(step.number)
        drawn = [torch.randperm(len(self.blocks), generator=generator)[:count] for _ in range(self.knobs.trials)]
        rewards = [math.exp(-float(self.suppress(places, step.forward))) for places in drawn]
        mean = sum(rewards) / len(rewards)
        for places, reward in zip(drawn, rewards, strict=True):
            p = torch.sigmoid(self.scores[places])
            self.scores[places] += self.knobs.rate * (reward - mean) * p * (1 - p)

    def suppress(self, places: Tensor, forward: Callable[[], Tensor]) -> Tensor:
        """The loss with the updates of the blocks at these places scaled down."""
        numbers = list(self.blocks)
        layers = [layer for place in places.tolist() for layer in self.layers.get(numbers[place], [])]
        with _scaled(layers, self.knobs.scale):
            return forward()

    def readings(self) -> dict[str, Any]:
        scores = zip(self.blocks, self.scores.tolist(), strict=True)
        return super().readings() | {f"importance/block_{block}": -score for block, score in scores}

    def tensors(self) -> dict[str, Tensor]:
        return {"scores": self.scores}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        self.scores = tensors["scores"].cpu()


@contextmanager
def _scaled(layers: list[Any], scale: float) -> Iterator[None]:
    def soften(layer: Any, arguments: Any, options: Any, output: Any) -> Any:
        base = layer.base if hasattr(layer, "base") else layer.base_layer
        plain = base(*arguments, **options)
        if isinstance(output, tuple):
            return plain[0] + scale * (output[0] - plain[0]), *output[1:]
        return plain + scale * (output - plain)

    handles = [layer.register_forward_hook(soften, with_kwargs=True) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
