"""Pruning while training: more and more weights are kept at zero, by the cubic rule.

    s(t) = s (1 - (1 - t / T)^3)      t the step, T the step at which the sparsity is reached

(Zhu and Gupta 2017, from a sparsity of 0.) Scores are taken anew each time, of the weights as they are then.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gpu_jobs.contracts import Hooks, Step
from gpu_jobs.engine.pruning import layers, scoring
from gpu_jobs.engine.shrinking import Change, Subject
from gpu_jobs.engine.shrinking.retraining import Around, Masked, apply
from gpu_jobs.events import Event

if TYPE_CHECKING:
    from gpu_jobs.kinds.prune import Spec


def cubic(sparsity: float, step: float, until: float) -> float:
    """The sparsity after so many steps."""
    return sparsity * (1 - (1 - min(step, until) / until) ** 3)


def ramp(sparsity: float, step: int, steps: int, warmup: float, cooldown: float) -> float:
    """The sparsity at a step, cubic between the first and the last share of the steps: 0 before, all of it after."""
    begin, end = warmup * steps, (1 - cooldown) * steps
    if step <= begin:
        return 0.0
    return cubic(sparsity, step - begin, end - begin) if end > begin else sparsity


def begin(spec: Spec) -> Callable[[Subject, Change], Generator[Event, None, Change]]:
    """Nothing goes before the first step."""

    def change(subject: Subject, change: Change) -> Generator[Event, None, Change]:
        yield from ()
        found = layers.find(subject.bare, spec.method.targets, spec.seed)
        masks = {name: torch.ones(layer.weight.shape, dtype=torch.bool) for name, layer in found.items()}
        return Change(spec.method.name, spec.method.pattern, spec.method.sparsity, masks)

    return change


def around(spec: Spec) -> Around:
    """The hooks that prune."""

    def wrap(subject: Subject, change: Change, hooks: Hooks) -> Hooks:
        return Pruning(spec, subject, change, hooks)  # type: ignore[return-value]

    return wrap


class Pruning(Masked):
    """A method's hooks, with masks that grow. The masks of the change are these."""

    def __init__(self, spec: Spec, subject: Subject, change: Change, inner: Hooks) -> None:
        super().__init__(inner, change.masks)
        self._spec, self._subject = spec, subject
        assert spec.retrain is not None
        assert spec.schedule.name == "gradual"
        self._until = max(1, round(spec.schedule.until * spec.retrain.steps))
        self._sparsity = 0.0

    def before_step(self, step: Step) -> None:
        """Prunes when it is time, and at the step where all must be gone."""
        assert self._spec.schedule.name == "gradual"
        is_due = step.number % self._spec.schedule.every == 0 or step.number == self._until
        if 0 < step.number <= self._until and is_due:
            self._prune(step.number)
        self._inner.before_step(step)

    def after_step(self, step: Step) -> None:
        """What went stays away; the last step may be the one at which all must be gone."""
        super().after_step(step)
        assert self._spec.retrain is not None
        if step.number + 1 == self._spec.retrain.steps and self._until >= self._spec.retrain.steps:
            self._prune(self._until)

    def _prune(self, step: int) -> None:
        self._sparsity = cubic(self._spec.method.sparsity, step, self._until)
        found = layers.find(self._subject.bare, self._spec.method.targets, self._spec.seed)
        was = self._inner.model.training
        values = scoring.scores(self._subject, self._spec, found)
        self._inner.model.train(was)
        self._masks.update(scoring.selected(self._subject, self._spec, found, values, self._sparsity))
        apply(self._inner.model, self._masks)

    def readings(self) -> dict[str, float | Tensor]:
        return {**self._inner.readings(), "prune/sparsity": self._sparsity}

    def tensors(self) -> dict[str, Tensor]:
        return {**self._inner.tensors(), **{f"mask|{name}": mask for name, mask in self._masks.items()}}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        self._masks.update({name[5:]: mask for name, mask in tensors.items() if name.startswith("mask|")})
        self._inner.restore({name: value for name, value in tensors.items() if not name.startswith("mask|")})
