"""What optimizers are made of: groups that decay, a rule as torch's Optimizer, and two optimizers as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn, optim

from gpu_jobs.shapes import Shape

if TYPE_CHECKING:
    from gpu_jobs.methods.optimizers import BesideAdamW

Named: TypeAlias = Iterable[tuple[str, nn.Parameter]]
Group: TypeAlias = dict[str, Any]
Rule: TypeAlias = Callable[[Tensor, dict[str, Tensor], Group], None]


def decay_groups(named_parameters: Named, weight_decay: float) -> list[Group]:
    """What requires a gradient in up to two groups: matrices, which decay, and norms and biases, which do not."""
    trained = [parameter for _, parameter in named_parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


class Ruled(optim.Optimizer):
    """Calls `rule(weight, state, group)` for every weight with a gradient.

    What the rule keeps is in `state`, empty at first, as tensors. A counter is named "step"; all others have the
    weight's type when they come from a checkpoint.
    """

    def __init__(self, parameters: Any, rule: Rule, **defaults: Any) -> None:
        super().__init__(parameters, defaults)
        self.rule = rule

    def step(self, closure: Any = None) -> Any:
        """One update. Returns what the closure returns, when there is one."""
        loss = closure() if closure else None
        with torch.no_grad():
            for group in self.param_groups:
                for weight in group["params"]:
                    if weight.grad is not None:
                        self.rule(weight, self.state[weight], group)
        return loss


class Joined(optim.Optimizer):
    """Optimizers of different weights as one: its groups and its state are theirs, not copies."""

    def __init__(self, *parts: optim.Optimizer) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        groups = iter(self.param_groups)
        for part in self.parts:
            part.state, part.param_groups = self.state, [next(groups) for _ in part.param_groups]

    def step(self, closure: Any = None) -> Any:
        """One update of each. Returns what the closure returns, when there is one."""
        loss = closure() if closure else None
        for part in self.parts:
            part.step()
        return loss


def beside_adamw(
    knobs: BesideAdamW,
    named_parameters: Named,
    is_matrix: Callable[[str, Shape], bool],
    build: Callable[[list[nn.Parameter]], optim.Optimizer],
) -> optim.Optimizer:
    """What `build` makes for the weights that are matrices by `is_matrix`, and AdamW for the rest, as one optimizer."""
    trained = [(name, value) for name, value in named_parameters if value.requires_grad]
    matrices = [value for name, value in trained if is_matrix(name, tuple(value.shape))]
    rest = [(name, value) for name, value in trained if not is_matrix(name, tuple(value.shape))]
    parts = ([build(matrices)] if matrices else []) + ([_adamw(knobs, rest)] if rest else [])
    return parts[0] if len(parts) == 1 else Joined(*parts)


def _adamw(knobs: BesideAdamW, named_parameters: Named) -> optim.Optimizer:
    from gpu_jobs.methods.optimizers import adamw

    same = {name: getattr(knobs, name) for name in ("lr", "weight_decay")}
    own = {name: getattr(knobs, f"rest_{name}") for name in ("beta1", "beta2", "eps")}
    optimizer = adamw.build(adamw.Knobs(name="adamw", **same, **own), named_parameters)
    for group in optimizer.param_groups:
        group["lr_factor"] = knobs.rest_factor
    return optimizer
