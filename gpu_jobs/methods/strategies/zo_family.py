"""Zeroth-order family: six rules for fine-tuning with forward passes alone, on one estimate.

    z ~ N(0, I) from a seed;  g = (L(theta + eps z) - L(theta - eps z)) / (2 eps);  e = mean over the probes of g z

    zo_sgd            theta <- theta - lr e                          MeZO's step
    zo_sign           theta <- theta - lr sign(e)
    zo_momentum       m <- b1 m + e;  theta <- theta - lr m
    zo_adam           m <- b1 m + (1 - b1) e;  v <- b2 v + (1 - b2) e^2
                      theta <- theta - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + 1e-8)
    zo_conservative   that of theta, theta - lr e and theta + lr e whose loss on the batch is smallest
    forward_grad      g = grad L . z, exactly, by forward-mode differentiation; theta <- theta - lr e

(the schemes of the benchmark of Zhang et al. 2024, "Revisiting Zeroth-Order Optimization for Memory-Efficient LLM
Fine-Tuning"; forward gradients: Baydin et al. 2022). zo_conservative as in the authors' code; their zo_sign there moves
by sign(g) z, ours by the sign of every entry, as the name says. Block-wise probes, hybrid training and sparse
gradients are left out. Weight decay, of matrices alone, comes before the step; of the optimizer only it and the rate
are used. eps is not read by forward_grad, which needs one GPU and attention without fused kernels.

Nothing is kept for a backward. zo_momentum and zo_adam keep one and two numbers for each trained value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts, perturbation
from gpu_jobs.adaptable import setup, sizes
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes, count, size

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job
    from gpu_jobs.spec import Training

__all__ = ["setup", "sizes"]
PAPER = "https://arxiv.org/abs/2402.11592"
PARALLEL = ("ddp",)
LR = 1e-6
IS_FORWARD_ONLY = True
KEPT = {"zo_momentum": ("m",), "zo_adam": ("m", "v")}  # numbers for each trained value
EPS_ADAM = 1e-8


class Knobs(perturbation.ProbeKnobs):
    name: Literal["zo_family"]
    rule: Literal["zo_sgd", "zo_sign", "zo_momentum", "zo_adam", "zo_conservative", "forward_grad"] = Field(
        "zo_adam", description="The rule."
    )
    beta1: float = Field(
        0.9, ge=0, lt=1, description="Memory of zo_momentum and zo_adam.", json_schema_extra={"advanced": True}
    )
    beta2: float = Field(
        0.999, ge=0, lt=1, description="zo_adam's memory of the square.", json_schema_extra={"advanced": True}
    )


def flops(knobs: Knobs, forward: int, backward: int) -> int:
    """Two forwards a probe; three more to choose; a forward with tangents has two products beside each product."""
    if knobs.rule == "forward_grad":
        return 3 * knobs.probes * forward
    return perturbation.flops(knobs, forward, backward) + (3 * forward if knobs.rule == "zo_conservative" else 0)


def memory(knobs: Knobs, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """Beside MeZO's the rule's own state; tangents double activations, and weights while they are read."""
    largest = 4 * max(map(size, trained.values()))
    found = {"optimizer": 4 * len(KEPT.get(knobs.rule, ())) * count(trained)}
    if knobs.rule == "forward_grad":
        return {**found, "activations": 2 * parts["activations"] + largest}
    if knobs.rule == "zo_conservative":
        return {**found, "activations": parts["activations"] + 2 * largest}
    return {**found, **perturbation.memory(knobs, parts, anatomy, trained)}


class Hooks(perturbation.ProbingHooks):
    """One estimate, and the rule that `rule` names."""

    kept = 0  # of zo_conservative: -1 against the estimate, 1 along it, 0 stay

    def __init__(self, knobs: Any, model: nn.Module, spec: Training) -> None:
        super().__init__(knobs, model, spec)
        if knobs.rule in ("forward_grad", "zo_conservative"):
            perturbation.refuse_compile(spec)
        if knobs.rule == "forward_grad" and spec.gpus > 1:
            raise MethodError(f"method.rule 'forward_grad' can't be shared over {spec.gpus} GPUs: set gpus to 1.")
        self.state: dict[str, list[Tensor]] = {}

    def begin(self, job: Job) -> None:
        super().begin(job)
        self.clear()

    def clear(self) -> None:
        """Makes the rule's state zero."""
        import torch

        values = self.trained().values()
        self.state = {name: [torch.zeros_like(value) for value in values] for name in KEPT.get(self.knobs.rule, ())}

    def gradients(self, step: contracts.Step) -> Tensor:
        return self.differentiate(step) if self.knobs.rule == "forward_grad" else super().gradients(step)

    def differentiate(self, step: contracts.Step) -> Tensor:
        """The loss; `slopes` are its derivatives along the probes, exactly."""
        from torch.autograd import forward_ad as untyped
        from torch.nn.attention import SDPBackend, sdpa_kernel

        forward_ad: Any = untyped
        self.slopes = []
        for probe in range(self.knobs.probes):
            seed = perturbation.seed_of(self.spec.seed, step.number, probe)

            def dual(place: int, value: Tensor, seed: int = seed) -> Tensor:
                found: Tensor = forward_ad.make_dual(value.detach(), self.direction(seed, place, value))
                return found

            with forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH):
                loss, slope = forward_ad.unpack_dual(self.loss_as(step, dual))
            self.slopes.append((seed, slope))
        return loss  # type: ignore[no-any-return]

    def update(self, step: contracts.Step) -> None:
        """theta <- theta - lr rule(e)"""
        import torch

        with torch.no_grad():
            if self.knobs.rule == "zo_conservative":
                self.choose(step)
                return
            for place, value in enumerate(self.trained().values()):
                change = RULES[self.knobs.rule](self, place, self.estimate(place, value), step)
                self.decay(value, step.rate)
                value.sub_(change * step.rate)

    def choose(self, step: contracts.Step) -> None:
        """Takes the best of theta, theta - lr e and theta + lr e."""
        losses = {sign: float(self.loss(step, sign)) for sign in (0, -1, 1)}
        self.kept = min(losses, key=lambda sign: losses[sign])
        for place, value in enumerate(self.trained().values()):
            value.copy_(self.moved(place, value, self.kept * step.rate))

    def loss(self, step: contracts.Step, sign: int) -> Tensor:
        """L(theta + sign lr e)"""
        return self.loss_as(step, lambda place, value: self.moved(place, value, sign * step.rate))

    def losses(self, step: contracts.Step, seed: int) -> tuple[Tensor, Tensor]:
        """zo_conservative compares, so that not even rounding may move theta."""
        beside = self.knobs.rule == "zo_conservative"
        return self.losses_beside(step, seed) if beside else super().losses(step, seed)

    def moved(self, place: int, value: Tensor, length: float) -> Tensor:
        """theta + length e"""
        return self.estimate(place, value).mul_(length).add_(value) if length else value

    def readings(self) -> dict[str, float | Tensor]:
        if self.knobs.rule == "forward_grad":
            return {"zo/slope": self.slopes[-1][1]}
        kept = {"zo/kept": float(self.kept)} if self.knobs.rule == "zo_conservative" else {}
        return super().readings() | kept

    def tensors(self) -> dict[str, Tensor]:
        return {f"{name}.{place}": value for name, row in self.state.items() for place, value in enumerate(row)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        for name, value in self.tensors().items():
            value.copy_(tensors[name])


def plain(hooks: Hooks, place: int, e: Tensor, step: contracts.Step) -> Tensor:
    """e"""
    return e


def sign(hooks: Hooks, place: int, e: Tensor, step: contracts.Step) -> Tensor:
    """sign(e)"""
    return e.sign()


def momentum(hooks: Hooks, place: int, e: Tensor, step: contracts.Step) -> Tensor:
    """m <- b1 m + e"""
    return hooks.state["m"][place].mul_(hooks.knobs.beta1).add_(e)


def adam(hooks: Hooks, place: int, e: Tensor, step: contracts.Step) -> Tensor:
    """m and v without their bias, divided"""
    m, v, t = hooks.state["m"][place], hooks.state["v"][place], step.number + 1
    m.lerp_(e, 1 - hooks.knobs.beta1)
    v.lerp_(e.square(), 1 - hooks.knobs.beta2)
    root = (v / (1 - hooks.knobs.beta2**t)).sqrt_()
    change: Tensor = (m / (1 - hooks.knobs.beta1**t)).div_(root.add_(EPS_ADAM))
    return change


RULES: dict[str, Callable[[Hooks, int, Any, contracts.Step], Any]] = {
    "zo_sgd": plain, "forward_grad": plain, "zo_sign": sign, "zo_momentum": momentum, "zo_adam": adam,
}  # fmt: skip
