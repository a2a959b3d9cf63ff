"""MaskLLM: which n of m weights are kept is learned as a choice among patterns, with frozen weights.

    P (C(m, n), m)                          all patterns of n ones
    p = softmax((scale L + g) / tau)        L the logits of a group of m neighbours, g Gumbel noise
    y = (W * (p P)) x                       in training; the pattern of the highest logit afterwards
    loss - reg (1 - t / T) sum (W * (p P))^2

(Fang et al. 2024, "MaskLLM: Learnable Semi-Structured Sparsity for Large Language Models".) tau falls and scale rises
linearly over the T steps. L begins as N(0, 0.01) with a one-shot mask M0 as its prior, by what a pattern has of it:
L_i += strength std(L) (P_i M0 - n^2 / m). With strength 3 the noise overrules the prior in some groups. The term of reg
keeps the weights that stay large, so that gradients reach them. As in the authors' code, which has 2:4 and 1:4; n^2 / m
is the mean of P_i M0 over all patterns, 1 as theirs in 2:4, and moves no choice. C(m, n) / m logits a weight are
trained, in float32: 1.5 for 2:4, 1 for 1:4, 8.75 for 4:8. Their rate there is ten times that of weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import learnable
from gpu_jobs.prunable import NM, Pattern, PruningKnobs, nm

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.contracts import Step
    from gpu_jobs.engine.adapters.host import AdaptedLayer

PAPER = "https://arxiv.org/abs/2409.17481"
PATTERNS = ("2:4", "4:8", "1:4")
LR = 5e-4
SPREAD = 0.01  # standard deviation of the first logits


class Knobs(PruningKnobs):
    name: Literal["maskllm"]
    pattern: Pattern = Field("2:4", description="n:m: n of every m neighbouring inputs are kept.")
    prior: Literal["magnitude", "wanda"] = Field("magnitude", description="The one-shot mask that it begins at.")
    strength: float = Field(3.0, ge=0, le=1000, description="How much the first logits prefer the prior.")
    temperature_start: float = Field(4.0, gt=0, le=100, description="tau at the first step.")
    temperature_end: float = Field(0.05, gt=0, le=100, description="tau at the last step.")
    scale_start: float = Field(100.0, gt=0, le=1e6, description="Scale of the logits at the first step.")
    scale_end: float = Field(500.0, gt=0, le=1e6, description="Scale of the logits at the last step.")
    regularisation: float = Field(
        1e-5, ge=0, le=1, description="Reward of large weights that stay.", json_schema_extra={"advanced": True}
    )


def needs(knobs: Knobs) -> str | None:
    """What the prior must know of a layer's inputs."""
    return "norms" if knobs.prior == "wanda" else None


def setup(knobs: Knobs, model: nn.Module, layers: Any) -> nn.Module:
    """Logits on every layer, with the prior in them; nothing else is trained."""
    import sys

    from gpu_jobs.engine.adapters import host
    from gpu_jobs.engine.pruning.masks import by_pattern

    seed = next(iter(layers.values())).seed
    host.attach(knobs, sys.modules[__name__], model, list(layers), seed)
    for name, adapted in host.adapted(model).items():
        layer, values = layers[name], adapted.named_values
        scores = layer.weight.abs() * (layer.norms if needs(knobs) else 1)
        prefer(knobs, values, by_pattern(scores, kept(knobs)))
        values["mask"].copy_(hard(knobs, values))
    return model


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """Logits (groups, patterns), the last mask, and what the step says of the choice."""
    import torch

    out, inputs, n = base.outputs, base.inputs, kept(knobs)
    logits = torch.randn(out * inputs // n.m, len(patterns(n)), generator=generator) * SPREAD
    return {
        "logits": torch.nn.Parameter(logits),
        "mask": torch.zeros(out, inputs, dtype=torch.bool),
        "temperature": torch.tensor(knobs.temperature_start),
        "scale": torch.tensor(knobs.scale_start),
        "reward": torch.tensor(0.0),
    }


def kept(knobs: Knobs) -> NM:
    """n and m of the pattern."""
    found = nm(knobs.pattern)
    assert found is not None
    return found


def patterns(n: NM) -> Tensor:
    """P, (C(m, n), m) float32"""
    from itertools import combinations

    import torch

    return torch.tensor([[float(i in ones) for i in range(n.m)] for ones in combinations(range(n.m), n.n)])


def prefer(knobs: Knobs, values: dict[str, Tensor], prior: Tensor) -> None:
    """Adds the prior, a mask (out, in), to the logits."""
    import torch

    n, logits = kept(knobs), values["logits"]
    alike = prior.to(logits.device).view(-1, n.m).float() @ patterns(n).T.to(logits.device) - n.n**2 / n.m
    with torch.no_grad():
        logits += knobs.strength * logits.std() * alike


def choices(values: dict[str, Tensor]) -> Tensor:
    """p, (groups, patterns), drawn from torch's generator"""
    from torch.nn.functional import gumbel_softmax

    return gumbel_softmax(values["logits"] * values["scale"], tau=values["temperature"])  # type: ignore[arg-type]


def soft(knobs: Knobs, values: dict[str, Tensor]) -> Tensor:
    """p P, (out, in) float32"""
    import torch

    device = values["logits"].device
    with torch.autocast(device.type, enabled=False):
        return (choices(values) @ patterns(kept(knobs)).to(device)).view(values["mask"].shape)


def hard(knobs: Knobs, values: dict[str, Tensor]) -> Tensor:
    """The mask (out, in) bool of the patterns with the highest logits"""
    table = patterns(kept(knobs)).bool().to(values["logits"].device)
    return table[values["logits"].argmax(1)].view(values["mask"].shape)


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W with its mask, soft and drawn in training, (out, in)"""
    if not base.is_training:
        return base.weight * hard(knobs, values)  # type: ignore[no-any-return]
    mask = soft(knobs, values)
    if mask.requires_grad and knobs.regularisation:
        weight, drawn, reward = base.weight.detach(), mask.detach(), values["reward"]
        mask.register_hook(lambda gradient: gradient - 2 * reward * weight.square() * drawn)  # type: ignore[no-untyped-call]
    return base.weight * mask  # type: ignore[no-any-return]


class Hooks(learnable.MaskHooks):
    """Cools the choice."""

    knobs: Knobs

    def mask(self, layer: AdaptedLayer) -> Tensor:
        return hard(self.knobs, layer.named_values)

    def before_step(self, step: Step) -> None:
        knobs, done = self.knobs, step.number / self.spec.steps
        self.temperature = knobs.temperature_start + (knobs.temperature_end - knobs.temperature_start) * done
        self.scale = knobs.scale_start + (knobs.scale_end - knobs.scale_start) * done
        for layer in self.layers.values():
            values = layer.named_values
            values["temperature"].fill_(self.temperature)
            values["scale"].fill_(self.scale)
            values["reward"].fill_(knobs.regularisation * (1 - done) / self.spec.accumulation)  # it comes in each part
        self.renew()

    def readings(self) -> dict[str, float | Tensor]:
        """`certainty` is the mean probability of the likeliest pattern."""
        import torch

        with torch.no_grad():
            logits = [layer.named_values["logits"] for layer in self.layers.values()]
            sure = sum((each * self.scale).softmax(1).amax(1).sum() for each in logits) / sum(map(len, logits))
        told = {"prune/temperature": self.temperature, "prune/scale": self.scale, "prune/certainty": sure}
        return {**super().readings(), **told}
